"""Adopt: somebody else's checkpoint becomes a model file."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from svertka.commands.adopt.result import Adopted
from svertka.errors import UserError
from svertka.runtime.preprocess import Fit, Preprocess
from svertka.wording import counted

if TYPE_CHECKING:
    from svertka.zoo.checkpoints import Checkpoint
    from svertka.zoo.conversion import Converted
    from svertka.zoo.published import WeightsRecord

_CROP = 0.875
"""How much of the shorter side is left by the cut out of the middle, where nothing else is known."""


def adopt(
    checkpoint: str | PathLike[str],
    *,
    net: str | None = None,
    source: str | None = None,
    out: str | PathLike[str] | None = None,
    classes: Sequence[str] | str | None = None,
    licence: str | None = None,
    image_size: int | None = None,
    fit: Fit | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Adopted:
    """Turn a checkpoint of torchvision, timm, Keras, Caffe, … into a model file, every name and shape compared.

    Nothing in it is run. What is not given is that of the published weights from the same source.

    Args:
        checkpoint: A state dict of PyTorch (.pth, .pt, .th, .bin, .safetensors), weights of Keras (.h5, .keras) or of
            Caffe (.caffemodel).
        net: Registry name of the network; the one that the checkpoint fits, if it fits one only.
        source: Whose names it has (torchvision, timm, keras, …); recognised by them where not given.
        out: File to write; by default beside the checkpoint, ending in .safetensors.
        classes: Class names in the order of the outputs: a sequence, a text with commas, or a file with one a line.
        licence: Licence of the weights, best as an SPDX expression.
        image_size: Side of the network's input, in pixels.
        fit: How an image is brought to that size; as in `svertka.runtime.preprocess.Preprocess`.
        mean: Of every channel, or one for all, where white is 1.
        std: Like ``mean``.

    Raises:
        UserError: The checkpoint is damaged, could run code, or is of another network; or what is given does not suit.
    """
    _check_installed()
    from svertka.zoo.adoption import write_model

    path = Path(checkpoint)
    target = _target(path, out)
    converted, beside = _read(path, net, source)
    known = _published(path, converted.net)
    like = known or _like(converted)
    assumed: list[str] = []
    preprocess = _preprocess(converted, like, assumed, image_size, fit, mean, std)
    names = _class_names(converted, like, classes, assumed)
    if known is not None:
        assumed.clear()  # nothing had to be: these weights are published with it
    if beside:
        assumed.insert(0, f"the weights are not among {len(beside):,} other tensors, such as {beside[0][:80]}")
    card = write_model(
        target,
        converted,
        classes=names,
        preprocess=preprocess,
        licence=licence or (known.licence if known else "unspecified"),
        provenance=_provenance(path, known),
        metrics=known.metrics() if known and preprocess == known.preprocess() else {},
    )
    name = known.full_name if known else None
    return Adopted(target, card.net, converted.source, name, card.classes, preprocess, card.licence, tuple(assumed))


def _check_installed() -> None:
    try:
        importlib.import_module("svertka.zoo.adoption")
    except ModuleNotFoundError as error:
        raise UserError(f"adopting needs {error.name}", mend="pip install 'svertka[train]'") from error


def _read(path: Path, net: str | None, source: str | None) -> tuple[Converted, Sequence[str]]:
    # The weights, and the names of the tensors beside them.
    from svertka.zoo import registry
    from svertka.zoo.checkpoints import read_checkpoint

    if net is not None:
        registry.record(net)
    read = read_checkpoint(path)
    converted = _converted(read, net, source)
    if registry.record(converted.net).kind != "classifier":
        raise UserError(f"it is of {converted.net}, which finds masks; only classifiers are adopted", where=path)
    return converted, read.beside


def _published(path: Path, net: str) -> WeightsRecord | None:
    from svertka.zoo import weights

    known = weights.published(path)
    return known if known is not None and known.net == net else None


def _provenance(path: Path, known: WeightsRecord | None) -> dict[str, str]:
    from svertka.zoo.download import file_digest

    return {
        "file": path.name.encode(errors="replace").decode(),
        "digest": file_digest(path, "sha256"),
        **({"weights": known.full_name, "from": known.url} if known else {}),
    }


def _target(path: Path, out: str | PathLike[str] | None) -> Path:
    target = path.with_suffix(".safetensors") if out is None else Path(out)
    if target.suffix != ".safetensors":
        raise UserError("a model file ends in .safetensors", where=target, mend="give --out NAME.safetensors")
    if target.exists() and path.exists() and (out is None or target.samefile(path)):
        raise UserError("it is there already", where=target, mend="name another file with --out")
    return target


def _converted(checkpoint: Checkpoint, net: str | None, source: str | None) -> Converted:
    from svertka.zoo import conversion

    if net is None:
        fitting = conversion.fitting(checkpoint)
        if not fitting:
            raise UserError(
                f"it fits no network here; it begins with {conversion.beginning(checkpoint.tensors)}",
                where=checkpoint.path,
                mend="give --net to see what differs",
            )
        if len(fitting) > 1:
            names = " or ".join(converted.net for converted in fitting)
            raise UserError("it fits several networks", where=checkpoint.path, mend=f"give --net {names}")
        net = fitting[0].net
    tried = [source] if source else conversion.sources(net)
    if not tried:
        raise UserError(f"nothing can be converted to {net} yet", mend="svertka nets lists the others")
    misfits = []
    for candidate in [name for name in tried if conversion.reads(name, checkpoint)] or tried:
        try:
            return conversion.convert(net, candidate, checkpoint)
        except conversion.MisfitError as error:
            misfits.append(error)
    nearest = min(misfits, key=lambda error: error.problems)
    others = [converted.net for converted in conversion.fitting(checkpoint)]
    mend = f"it fits {' or '.join(others)}" if others else None
    raise UserError(nearest.what, where=checkpoint.path, mend=mend) from nearest


def _like(converted: Converted) -> WeightsRecord | None:
    from svertka.zoo import weights

    records = weights.weights_of(converted.net)
    return next((record for record in records if record.source == converted.source), None)


def _preprocess(
    converted: Converted,
    like: WeightsRecord | None,
    assumed: list[str],
    image_size: int | None,
    fit: Fit | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> Preprocess:
    from svertka.zoo import registry
    from svertka.zoo.published import IMAGENET_MEAN, IMAGENET_STD

    record, channels = registry.record(converted.net), converted.arguments["in_channels"]
    if channels not in (1, 3):
        raise UserError(f"it takes images of {counted(channels, 'channel')}; here an image has 1 or 3")
    if like is not None:
        start = like.preprocess()
        where = f"that of {like.full_name}"
    else:
        start = Preprocess(height=record.image_size, width=record.image_size, mean=IMAGENET_MEAN, std=IMAGENET_STD)
        where = "the network's size, ImageNet's mean and deviation"
    if None in (image_size, fit, mean, std):
        assumed.append(f"preprocessing as far as it was not given: {where}")
    size = start.height if image_size is None else image_size
    registry.check_side(record, size)
    fit = fit or start.fit
    left = start.height / start.shorter if start.shorter else _CROP
    return Preprocess(
        height=size,
        width=size,
        channels=channels,
        fit=fit,
        shorter=int(size / left) if fit == "crop" else None,
        interpolation=start.interpolation,
        mean=_by_channel(start.mean if mean is None else mean, channels, "mean"),
        std=_by_channel(start.std if std is None else std, channels, "std"),
        order=start.order if channels == 3 else "rgb",
    )


def _by_channel(values: Sequence[float], channels: int, name: str) -> tuple[float, ...]:
    if len(values) == 1:
        return tuple(values) * channels
    if channels == 1 and len(values) == 3:  # of colours, for a network that sees grey
        return (sum(values) / 3,)
    if len(values) != channels:
        raise UserError(
            f"{counted(len(values), 'value')} of {name} for {counted(channels, 'channel')}",
            mend="give one a channel, or one",
        )
    return tuple(values)


def _class_names(
    converted: Converted, like: WeightsRecord | None, given: Sequence[str] | str | None, assumed: list[str]
) -> tuple[str, ...]:
    from svertka.zoo.classes import class_names

    count = converted.arguments["classes"]
    if given is not None:
        names = _read_names(given) if isinstance(given, str) else tuple(given)
        if len(names) != count or len(set(names)) != count:
            raise UserError(f"{counted(len(set(names)), 'class name')} for a network of {counted(count, 'class')}")
        return names
    if like is not None and like.data and len(class_names(like.data)) == count:
        assumed.append(f"the classes are those of {like.full_name}, in their usual order")
        return class_names(like.data)
    assumed.append(f"class names: 0 to {count - 1:,}; give them with --classes")
    return tuple(str(number) for number in range(count))


def _read_names(text: str) -> tuple[str, ...]:
    path = Path(text)
    if "," in text or not (path.suffix or path.is_file()):
        return tuple(name.strip() for name in text.split(","))
    try:
        return tuple(line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"class names cannot be read ({error})", where=path) from error
