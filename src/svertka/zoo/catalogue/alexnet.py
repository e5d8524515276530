"""AlexNet, on one graphics card and on two."""

from svertka.zoo.published import caffe_weights, torchvision_weights
from svertka.zoo.records import NetRecord

NETS = (
    NetRecord(
        name="alexnet",
        builder="svertka.nets.alexnet:AlexNet",
        year=2014,
        paper="Krizhevsky, One weird trick for parallelizing convolutional neural networks",
        image_size=224,
        parameters=61_100_840,
        smallest=63,
    ),
    NetRecord(
        name="alexnet_grouped",
        builder="svertka.nets.alexnet:AlexNet",
        arguments={"grouped": True},
        year=2012,
        paper="Krizhevsky et al., ImageNet Classification with Deep Convolutional Neural Networks",
        image_size=227,
        parameters=60_965_224,
        smallest=67,
    ),
)

# "caffe" is not here: besides the names its normalisation differs. See `svertka.zoo.converters.alexnet`.
KEYS = {
    "torchvision": (
        (r"features\.0\.(\w+)", r"trunk.conv1.conv1.\1"),
        (r"features\.3\.(\w+)", r"trunk.conv2.conv2.\1"),
        (r"features\.6\.(\w+)", r"trunk.conv3.conv3.\1"),
        (r"features\.8\.(\w+)", r"trunk.conv4.conv4.\1"),
        (r"features\.10\.(\w+)", r"trunk.conv5.conv5.\1"),
        (r"classifier\.1\.(\w+)", r"head.fc6.\1"),
        (r"classifier\.4\.(\w+)", r"head.fc7.\1"),
        (r"classifier\.6\.(\w+)", r"head.fc8.\1"),
    ),
}

WEIGHTS = (
    torchvision_weights("alexnet", "alexnet-owt-7be5be79.pth", 56.522, 79.066),
    caffe_weights(
        "alexnet_grouped",
        "bvlc_alexnet",
        "9116a64c0fbe4459d18f4bb6b56d647b63920377",
        0.571,
        0.802,
        image_size=227,
    ),
)
