"""U-Net, as published and on any trunk."""

from svertka.zoo.records import NetRecord

_PAPER = "Ronneberger, Fischer, Brox, U-Net: Convolutional Networks for Biomedical Image Segmentation"

NETS = (
    NetRecord(
        name="unet_2015",
        kind="segmenter",
        builder="svertka.nets.unet:UNet2015",
        year=2015,
        paper=_PAPER,
        image_size=572,
        channels=1,
        classes=2,
        parameters=31_030_658,
        smallest=188,
        step=16,
        margin=92,
    ),
    NetRecord(
        name="unet",
        kind="segmenter",
        builder="svertka.nets.unet:UNet",
        arguments={"trunk": {"net": "efficientnet_lite0"}},
        year=2015,
        paper=_PAPER,
        image_size=256,
        classes=2,
        parameters=6_752_210,
        smallest=1,
    ),
)
