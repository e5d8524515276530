"""MobileNet."""

from typing import Any

from svertka.zoo.published import WeightsRecord, keras_weights, timm_weights
from svertka.zoo.records import NetRecord


def _record(name: str, *, parameters: int, **arguments: Any) -> NetRecord:
    return NetRecord(
        name=name,
        builder="svertka.nets.mobilenet:MobileNet",
        arguments=arguments,
        year=2017,
        paper="Howard et al., MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
        image_size=224,
        parameters=parameters,
        smallest=1,
    )


NETS = (
    _record("mobilenet", parameters=4_231_976),
    _record("mobilenet_025", parameters=470_072, width=0.25),  # as timm counts in hundredths
)


def _timm() -> tuple[tuple[str, str], ...]:
    rules = [
        (r"conv_stem\.weight", r"trunk.conv1.conv.weight"),
        (r"bn1\.(\w+)", r"trunk.conv1.norm.\1"),
        (r"classifier\.(\w+)", r"head.linear.\1"),
    ]
    for stage in range(5):
        for block in range(6):
            theirs, ours = rf"blocks\.{stage}\.{block}", f"trunk.separable{stage + 1}.block{block + 1}"
            rules += [
                (rf"{theirs}\.conv_dw\.weight", rf"{ours}.depthwise.conv.weight"),
                (rf"{theirs}\.bn1\.(\w+)", rf"{ours}.depthwise.norm.\1"),
                (rf"{theirs}\.conv_pw\.weight", rf"{ours}.pointwise.conv.weight"),
                (rf"{theirs}\.bn2\.(\w+)", rf"{ours}.pointwise.norm.\1"),
            ]
    return tuple(rules)


# Those of Keras and of MLPerf Tiny become ours by more than names: see `svertka.zoo.converters.mobilenet`.
KEYS = {"timm": _timm()}

ARGUMENTS = {"keras": {"same_padding": True}, "mlperf_tiny": {"same_padding": True, "relu6": False}}

WEIGHTS = (
    timm_weights("mobilenet", "mobilenetv1_100.ra4_e3600_r224_in1k", 75.388, 92.31, size=224, crop=0.875),
    keras_weights("mobilenet", "mobilenet/mobilenet_1_0_224_tf.h5", None, 0.704, 0.895),
    WeightsRecord(
        net="mobilenet_025",
        name="visual_wake_words",
        source="mlperf_tiny",
        url="https://github.com/mlcommons/tiny/raw/master/benchmark/training/visual_wake_words/trained_models/vww_96.h5",
        digest="sha256:af9111d50e6e85b2f2123345e0316ef1c384865ebf6b06340ddac7e66017450f",
        licence="Apache-2.0",
        data="visual_wake_words",
        top1=None,
        image_size=96,
        shorter=96,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    ),
)
