"""ResNet, for ImageNet and for CIFAR."""

from svertka.zoo.published import WeightsRecord, torchvision_weights
from svertka.zoo.records import NetRecord

_PAPER = "He et al., Deep Residual Learning for Image Recognition"


def _imagenet(layers: int, depths: tuple[int, ...], *, bottlenecks: bool, parameters: int) -> NetRecord:
    return NetRecord(
        name=f"resnet{layers}",
        builder="svertka.nets.resnet:ResNet",
        arguments={"depths": depths, "bottlenecks": bottlenecks},
        year=2015,
        paper=_PAPER,
        image_size=224,
        parameters=parameters,
        smallest=1,
    )


def _cifar(layers: int, *, parameters: int) -> NetRecord:
    return NetRecord(
        name=f"resnet{layers}_cifar",
        builder="svertka.nets.resnet:CifarResNet",
        arguments={"depth": (layers - 2) // 6},
        year=2015,
        paper=_PAPER,
        image_size=32,
        classes=10,
        parameters=parameters,
        smallest=1,
    )


NETS = (
    _imagenet(18, (2, 2, 2, 2), bottlenecks=False, parameters=11_689_512),
    _imagenet(34, (3, 4, 6, 3), bottlenecks=False, parameters=21_797_672),
    _imagenet(50, (3, 4, 6, 3), bottlenecks=True, parameters=25_557_032),
    _imagenet(101, (3, 4, 23, 3), bottlenecks=True, parameters=44_549_160),
    _imagenet(152, (3, 8, 36, 3), bottlenecks=True, parameters=60_192_808),
    _cifar(8, parameters=75_290),
    _cifar(20, parameters=269_722),
    _cifar(32, parameters=464_154),
    _cifar(44, parameters=658_586),
    _cifar(56, parameters=853_018),
    _cifar(110, parameters=1_727_962),
)


def torchvision_keys(prefix: str) -> tuple[tuple[str, str], ...]:
    """How the names of torchvision's ResNets become ours, where they begin with ``prefix``, a regular expression."""
    rules = [
        (rf"{prefix}conv1\.weight", r"trunk.conv1.conv.weight"),
        (rf"{prefix}bn1\.(\w+)", r"trunk.conv1.norm.\1"),
        (rf"{prefix}(?:fc|linear)\.(\w+)", r"head.linear.\1"),
    ]
    for layer in range(1, 5):
        for block in range(36):  # the deepest stage, conv4 of ResNet-152, has as many
            theirs, ours = rf"{prefix}layer{layer}\.{block}", f"trunk.conv{layer + 1}.block{block + 1}"
            rules += [
                (rf"{theirs}\.conv(\d)\.weight", rf"{ours}.residual.conv\1.conv.weight"),
                (rf"{theirs}\.bn(\d)\.(\w+)", rf"{ours}.residual.conv\1.norm.\2"),
                (rf"{theirs}\.downsample\.0\.weight", rf"{ours}.shortcut.conv.weight"),
                (rf"{theirs}\.downsample\.1\.(\w+)", rf"{ours}.shortcut.norm.\1"),
            ]
    return tuple(rules)


KEYS = {
    "torchvision": torchvision_keys(""),
    "timm": torchvision_keys(""),
    # github.com/akamaster/pytorch_resnet_cifar10, whose checkpoints were saved from DataParallel
    "akamaster": torchvision_keys(r"(?:module\.)?"),
}

# ResNet-8 of MLPerf Tiny becomes ours by more than names: see `svertka.zoo.converters.resnet`.
ARGUMENTS = {"mlperf_tiny": {"projected": True, "same_padding": True}}


def _akamaster(layers: int, digest: str, accuracy: float) -> WeightsRecord:
    file = f"resnet{layers}-{digest}.th"
    return WeightsRecord(
        net=f"resnet{layers}_cifar",
        name="akamaster",
        source="akamaster",
        url=f"https://github.com/akamaster/pytorch_resnet_cifar10/raw/master/pretrained_models/{file}",
        digest=f"sha256:{digest}",
        licence="BSD-2-Clause",
        data="cifar10",
        top1=accuracy,
        image_size=32,
        shorter=32,
    )


WEIGHTS = (
    torchvision_weights("resnet18", "resnet18-f37072fd.pth", 69.758, 89.078),
    torchvision_weights("resnet34", "resnet34-b627a593.pth", 73.314, 91.42),
    torchvision_weights("resnet50", "resnet50-0676ba61.pth", 76.13, 92.862),
    torchvision_weights("resnet50", "resnet50-11ad3fa6.pth", 80.858, 95.434, name="imagenet1k_v2", shorter=232),
    torchvision_weights("resnet101", "resnet101-63fe2227.pth", 77.374, 93.546),
    torchvision_weights("resnet101", "resnet101-cd907fc2.pth", 81.886, 95.78, name="imagenet1k_v2", shorter=232),
    torchvision_weights("resnet152", "resnet152-394f9c45.pth", 78.312, 94.046),
    torchvision_weights("resnet152", "resnet152-f82ba261.pth", 82.284, 96.002, name="imagenet1k_v2", shorter=232),
    _akamaster(20, "12fca82f", 0.9178),  # as the file says itself; its page has 0.9173
    _akamaster(32, "d509ac18", 0.9263),
    _akamaster(44, "014dd654", 0.9310),
    _akamaster(56, "4bfd9763", 0.9339),
    _akamaster(110, "1d1ed7c2", 0.9368),
    WeightsRecord(
        net="resnet8_cifar",
        name="mlperf_tiny",
        source="mlperf_tiny",
        url="https://github.com/mlcommons/tiny/raw/master/benchmark/training/image_classification/trained_models/"
        "pretrainedResnet.h5",
        digest="sha256:5f938a8eea605438cc7360aa13c987bc6d7bd0c8d931b2917361ae7ae4eeda2f",
        licence="Apache-2.0",
        data="cifar10",
        top1=None,
        image_size=32,
        shorter=32,
        mean=(0.0, 0.0, 0.0),
        std=(1 / 255, 1 / 255, 1 / 255),  # pixels from 0 to 255
    ),
)
