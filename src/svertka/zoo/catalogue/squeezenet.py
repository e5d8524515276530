"""SqueezeNet."""

from svertka.zoo.published import torchvision_weights
from svertka.zoo.records import NetRecord

_PAPER = "Iandola et al., SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size"

NETS = (
    NetRecord(
        name="squeezenet1_0",
        builder="svertka.nets.squeezenet:SqueezeNet",
        arguments={"version": "1.0"},
        year=2016,
        paper=_PAPER,
        image_size=224,
        parameters=1_248_424,
        smallest=21,
    ),
    NetRecord(
        name="squeezenet1_1",
        builder="svertka.nets.squeezenet:SqueezeNet",
        arguments={"version": "1.1"},
        year=2016,
        paper=_PAPER,
        image_size=224,
        parameters=1_235_496,
        smallest=17,
    ),
)

# torchvision numbers the layers through, differently in each version. See `svertka.zoo.converters.squeezenet`.
KEYS: dict[str, tuple[tuple[str, str], ...]] = {}

WEIGHTS = (
    torchvision_weights("squeezenet1_0", "squeezenet1_0-b66bff10.pth", 58.092, 80.42),
    torchvision_weights("squeezenet1_1", "squeezenet1_1-b8a52dc0.pth", 58.178, 80.624),
)
