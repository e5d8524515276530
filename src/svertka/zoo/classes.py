"""The class names of the data sets that published weights were trained on, in the order of their logits."""

from __future__ import annotations

import importlib

from svertka.errors import UserError

_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_VISUAL_WAKE_WORDS = ("no person", "person")
_VOC = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


def class_names(data: str) -> tuple[str, ...]:
    """The classes of ``imagenet``, ``cifar10``, ``visual_wake_words`` or ``voc``, or of a larger part of ImageNet.

    ImageNet's 1,000 names are torchvision's, in the usual order. Those of its larger parts, such as ``imagenet-12k``,
    are WordNet's numbers, as timm has them.

    Raises:
        UserError: torchvision, which has ImageNet's names, is missing.
    """
    if data == "cifar10":
        return _CIFAR10
    if data == "visual_wake_words":
        return _VISUAL_WAKE_WORDS
    if data == "voc":
        return _VOC
    if data.startswith("imagenet-"):
        return tuple(importlib.import_module("timm.data").ImageNetInfo(data).label_names())
    assert data == "imagenet"
    try:
        meta = importlib.import_module("torchvision.models._meta")
    except ModuleNotFoundError as error:
        raise UserError("ImageNet's class names need torchvision", mend="pip install 'svertka[train]'") from error
    return tuple(meta._IMAGENET_CATEGORIES)
