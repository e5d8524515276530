"""DenseNet."""

from typing import Any

from svertka.zoo.published import IMAGENET_MEAN, IMAGENET_STD, keras_weights, torchvision_weights
from svertka.zoo.records import NetRecord


def _record(layers: int, depths: tuple[int, ...], *, parameters: int) -> NetRecord:
    return NetRecord(
        name=f"densenet{layers}",
        builder="svertka.nets.densenet:DenseNet",
        arguments={"depths": depths, "growth": 32},
        year=2016,
        paper="Huang et al., Densely Connected Convolutional Networks",
        image_size=224,
        parameters=parameters,
        smallest=29,
    )


NETS = (
    _record(121, (6, 12, 24, 16), parameters=7_978_856),
    _record(169, (6, 12, 32, 32), parameters=14_149_480),
    _record(201, (6, 12, 48, 32), parameters=20_013_928),
)


def _keras() -> tuple[tuple[str, str], ...]:
    rules = [
        (r"conv1_conv\.weight", r"trunk.conv.conv.weight"),
        (r"conv1_bn\.(\w+)", r"trunk.conv.norm.\1"),
        (r"bn\.(\w+)", r"trunk.norm.norm.\1"),
        (r"predictions\.(\w+)", r"head.linear.\1"),
    ]
    for block in range(1, 5):
        theirs, ours = rf"conv{block + 1}_block(\d+)", rf"trunk.block{block}.layer\1"
        rules += [
            (rf"{theirs}_0_bn\.(\w+)", rf"{ours}.norm1.\2"),
            (rf"{theirs}_1_conv\.weight", rf"{ours}.conv1.weight"),
            (rf"{theirs}_1_bn\.(\w+)", rf"{ours}.norm2.\2"),
            (rf"{theirs}_2_conv\.weight", rf"{ours}.conv2.weight"),
            (rf"pool{block + 1}_bn\.(\w+)", rf"trunk.transition{block}.norm.\1"),
            (rf"pool{block + 1}_conv\.weight", rf"trunk.transition{block}.conv.weight"),
        ]
    return tuple(rules)


KEYS = {
    "torchvision": (
        (r"features\.conv0\.weight", r"trunk.conv.conv.weight"),
        (r"features\.norm0\.(\w+)", r"trunk.conv.norm.\1"),
        # The published files still have "norm.1" where the network now has "norm1".
        (r"features\.denseblock(\d)\.denselayer(\d+)\.(norm|conv)\.?(\d)\.(\w+)", r"trunk.block\1.layer\2.\3\4.\5"),
        (r"features\.transition(\d)\.(norm|conv)\.(\w+)", r"trunk.transition\1.\2.\3"),
        (r"features\.norm5\.(\w+)", r"trunk.norm.norm.\1"),
        (r"classifier\.(\w+)", r"head.linear.\1"),
    ),
    # Of keys as svertka.zoo.keras gives them. Keras's epsilon is 1.001e-5: a difference of about 1e-7.
    "keras": _keras(),
}

_FILE = "densenet/densenet{}_weights_tf_dim_ordering_tf_kernels.h5"
_KERAS: dict[str, Any] = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}

WEIGHTS = (
    torchvision_weights("densenet121", "densenet121-a639ec97.pth", 74.434, 91.972),
    torchvision_weights("densenet169", "densenet169-b2777c0a.pth", 75.6, 92.806),
    torchvision_weights("densenet201", "densenet201-c1103571.pth", 76.896, 93.37),
    keras_weights("densenet121", _FILE.format(121), "9d60b8095a5708f2dcce2bca79d332c7", 0.750, 0.923, **_KERAS),
    keras_weights("densenet169", _FILE.format(169), "d699b8f76981ab1b30698df4c175e90b", 0.762, 0.932, **_KERAS),
    keras_weights("densenet201", _FILE.format(201), "1ceb130c1ea1b78c3bf6114dbdfd8807", 0.773, 0.936, **_KERAS),
)
