"""Inception-v2 and Inception-v3."""

from svertka.zoo.published import torchvision_weights
from svertka.zoo.records import NetRecord

_PAPER = "Szegedy et al., Rethinking the Inception Architecture for Computer Vision"

NETS = (
    NetRecord(
        name="inception_v2",
        builder="svertka.nets.inception_v3:InceptionV2",
        year=2015,
        paper=_PAPER,
        image_size=299,
        parameters=25_954_248,  # computed: the paper has the widths of the modules, not of every layer
        smallest=75,
    ),
    NetRecord(
        name="inception_v3",
        builder="svertka.nets.inception_v3:InceptionV3",
        year=2015,
        paper=_PAPER,
        image_size=299,
        parameters=23_834_568,
        smallest=75,
    ),
)

_MODULE, _OURS = r"Mixed_(\d)(\w)\.branch", r"trunk.mixed\1.\2"
_BLOCKS = (
    (r"Conv2d_1a_3x3", r"trunk.conv1.0"),
    (r"Conv2d_2a_3x3", r"trunk.conv2.0"),
    (r"Conv2d_2b_3x3", r"trunk.conv2.1"),
    (r"Conv2d_3b_1x1", r"trunk.conv3.1"),
    (r"Conv2d_4a_3x3", r"trunk.conv4.0"),
    (rf"{_MODULE}(1x1|3x3)", rf"{_OURS}.\3.0"),
    (rf"{_MODULE}_pool", rf"{_OURS}.pool.1"),
    # Ours count from zero.
    *((rf"{_MODULE}([^_]+)_{place + 1}", rf"{_OURS}.\3.{place}") for place in range(5)),
    (rf"{_MODULE}3x3_2a", rf"{_OURS}.3x3.1.1x3.0"),
    (rf"{_MODULE}3x3_2b", rf"{_OURS}.3x3.1.3x1.0"),
    (rf"{_MODULE}3x3dbl_3a", rf"{_OURS}.3x3dbl.2.1x3.0"),
    (rf"{_MODULE}3x3dbl_3b", rf"{_OURS}.3x3dbl.2.3x1.0"),
    (r"AuxLogits\.conv(\d)", r"auxiliary.mixed6.conv.\1"),
)

KEYS = {
    "torchvision": (  # of Inception-v3
        *(
            (rf"{theirs}\.{part}\.(?P<value>\w+)", rf"{ours}.{name}.\g<value>")
            for theirs, ours in _BLOCKS
            for part, name in (("conv", "conv"), ("bn", "norm"))
        ),
        (r"AuxLogits\.fc\.(\w+)", r"auxiliary.mixed6.head.linear.\1"),
        (r"fc\.(\w+)", r"head.linear.\1"),
    )
}

WEIGHTS = (
    torchvision_weights(
        "inception_v3",
        "inception_v3_google-0cc3c7bd.pth",
        77.294,
        93.45,
        image_size=299,
        shorter=342,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    ),
)
