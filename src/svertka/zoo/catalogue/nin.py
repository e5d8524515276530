"""Network in Network."""

from svertka.zoo.records import NetRecord

NETS = (
    NetRecord(
        name="nin",
        builder="svertka.nets.nin:NetworkInNetwork",
        year=2013,
        paper="Lin et al., Network In Network",
        image_size=224,
        parameters=7_595_176,
        smallest=39,
    ),
)

KEYS = {
    # The layers of the Caffe zoo's network, each with a ``weight`` and a ``bias``.
    "caffe": (
        (r"cccp8-1024\.(\w+)", r"head.cccp8.\1"),
        (r"(conv4|cccp7)-1024\.(\w+)", r"trunk.mlpconv4.\1.\2"),
        (r"(conv1|cccp[12])\.(\w+)", r"trunk.mlpconv1.\1.\2"),
        (r"(conv2|cccp[34])\.(\w+)", r"trunk.mlpconv2.\1.\2"),
        (r"(conv3|cccp[56])\.(\w+)", r"trunk.mlpconv3.\1.\2"),
    ),
}
