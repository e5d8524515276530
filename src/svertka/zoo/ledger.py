"""The ledger: parameters counted our way, Keras's way, and as the second lecture's table has them.

The table is that of keras.io/applications, and Keras counts differently: the moving mean and variance of every
normalised channel are parameters to it (2 more a channel). Its ResNet v1 has a bias in every convolution although a
normalisation follows (1 more); its Inception v3 and Inception-ResNet v2 have normalisations without a scale (1 less).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from svertka.wording import counted
from svertka.zoo import registry

_STATISTICS = 2
_WITH_BIASES = _STATISTICS + 1
_WITHOUT_SCALE = _STATISTICS - 1


@dataclass(frozen=True)
class LectureEntry:
    """A line of the lecture's table.

    Attributes:
        title: As the lecture writes it.
        net: Registry name.
        parameters: Number of parameters there.
        top1, top5: Accuracy there, as fractions of one.
        depth: Depth there, layers without parameters included; None where it has none.
        per_channel: What Keras counts more than we do for every normalised channel.
    """

    title: str
    net: str
    parameters: int
    top1: float
    top5: float
    depth: int | None = None
    per_channel: int = _STATISTICS


LECTURE = (
    LectureEntry("Xception", "xception", 22_910_480, 0.790, 0.945, 126),
    LectureEntry("VGG16", "vgg16", 138_357_544, 0.713, 0.901, 23),
    LectureEntry("VGG19", "vgg19", 143_667_240, 0.713, 0.900, 26),
    LectureEntry("ResNet50", "resnet50", 25_636_712, 0.749, 0.921, per_channel=_WITH_BIASES),
    LectureEntry("ResNet101", "resnet101", 44_707_176, 0.764, 0.928, per_channel=_WITH_BIASES),
    LectureEntry("ResNet152", "resnet152", 60_419_944, 0.766, 0.931, per_channel=_WITH_BIASES),
    LectureEntry("ResNet50V2", "resnet50_v2", 25_613_800, 0.760, 0.930),
    LectureEntry("ResNet101V2", "resnet101_v2", 44_675_560, 0.772, 0.938),
    LectureEntry("ResNet152V2", "resnet152_v2", 60_380_648, 0.780, 0.942),
    LectureEntry("ResNeXt50", "resnext50_32x4d", 25_097_128, 0.777, 0.938),
    LectureEntry("ResNeXt101", "resnext101_32x4d", 44_315_560, 0.787, 0.943),
    LectureEntry("InceptionV3", "inception_v3", 23_851_784, 0.779, 0.937, 159, _WITHOUT_SCALE),
    LectureEntry("InceptionResNetV2", "inception_resnet_v2", 55_873_736, 0.803, 0.953, 572, _WITHOUT_SCALE),
    LectureEntry("MobileNet", "mobilenet", 4_253_864, 0.704, 0.895, 88),
    LectureEntry("MobileNetV2", "mobilenet_v2", 3_538_984, 0.713, 0.901, 88),
    LectureEntry("DenseNet121", "densenet121", 8_062_504, 0.750, 0.923, 121),
    LectureEntry("DenseNet169", "densenet169", 14_307_880, 0.762, 0.932, 169),
    LectureEntry("DenseNet201", "densenet201", 20_242_984, 0.773, 0.936, 201),
    LectureEntry("NASNetMobile", "nasnet_mobile", 5_326_716, 0.744, 0.919),
    LectureEntry("NASNetLarge", "nasnet_large", 88_949_818, 0.825, 0.960),
)


@dataclass(frozen=True)
class LedgerLine:
    """One network in the ledger.

    Attributes:
        net: Registry name.
        entry: The lecture's line; None where its table does not have the network.
        counted: Parameters as PyTorch counts them, from the network itself.
        channels: Number of normalised channels.
    """

    net: str
    entry: LectureEntry | None
    counted: int
    channels: int

    @property
    def per_channel(self) -> int:
        """What Keras counts more than we do for every normalised channel."""
        return _STATISTICS if self.entry is None else self.entry.per_channel

    @property
    def keras(self) -> int:
        """Parameters as Keras would count ours."""
        return self.counted + self.per_channel * self.channels

    @property
    def why(self) -> str:
        """Why the two counts differ."""
        if not self.channels:
            return "nothing is normalised: both count the same"
        return f"{self.per_channel} × {counted(self.channels, 'normalised channel')}: {_KINDS[self.per_channel]}"


_KINDS = {
    _STATISTICS: "moving mean and variance",
    _WITH_BIASES: "moving mean and variance, and a bias in every convolution",
    _WITHOUT_SCALE: "moving mean and variance, less the scale that Keras leaves out",
}


def ledger() -> list[LedgerLine]:
    """Count every network, those of the lecture's table first, in its order; nothing is calculated."""
    entries = {entry.net: entry for entry in LECTURE}
    names = [*entries, *(record.name for record in registry.records() if record.name not in entries)]
    lines = []
    for name in names:
        with torch.device("meta"):
            net = registry.build_any(name, registry.record(name).as_counted())
        channels = sum(module.num_features for module in net.modules() if isinstance(module, nn.BatchNorm2d))
        counted = sum(parameter.numel() for parameter in net.parameters())
        lines.append(LedgerLine(name, entries.get(name), counted, channels))
    return lines


_PAGE = """# The ledger of parameters

How many parameters a network has depends on who counts. The second lecture's table is that of keras.io/applications,
and Keras counts differently: the moving mean and variance of every normalised channel are parameters to it (2 more a
channel). Its ResNet v1 has a bias in every convolution although a normalisation follows (1 more); its Inception v3 and
Inception-ResNet v2 have normalisations without a scale (1 less).

"PyTorch" is counted from the network here, at the classes it was published with; "Keras" is what Keras would count; a
test compares both with the published figures and with the lecture's. `svertka nets --ledger` prints this table, and
`python -m svertka.zoo.ledger > docs/ledger.md` writes this page.

| network | PyTorch | Keras | lecture | why the counts differ |
|---|--:|--:|--:|---|
"""


def page() -> str:
    """The ledger as ``docs/ledger.md``; ``python -m svertka.zoo.ledger > docs/ledger.md`` writes it."""
    rows = []
    for line in ledger():
        lecture = "" if line.entry is None else f"{line.entry.parameters:,}"
        rows.append(f"| {line.net} | {line.counted:,} | {line.keras:,} | {lecture} | {line.why} |")
    return _PAGE + "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(page(), end="")
