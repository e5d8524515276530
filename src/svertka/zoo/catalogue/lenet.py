"""LeNet-5."""

from svertka.zoo.records import NetRecord

NETS = (
    NetRecord(
        name="lenet5",
        builder="svertka.nets.lenet:LeNet5",
        year=1998,
        paper="LeCun et al., Gradient-Based Learning Applied to Document Recognition",
        image_size=32,
        channels=1,
        classes=10,
        parameters=61_706,
        smallest=32,
    ),
)
