"""``svertka adopt``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from svertka.cli._output import Json, Whole, print_json, say
from svertka.commands.adopt.command import adopt as run_adopt
from svertka.commands.adopt.result import Adopted
from svertka.wording import counted

_Values = Annotated[tuple[float, ...] | None, Parameter(consume_multiple=True, negative=())]


def adopt(
    checkpoint: Path,
    /,
    *,
    net: str | None = None,
    source: str | None = None,
    out: Path | None = None,
    classes: str | None = None,
    licence: str | None = None,
    image_size: Whole | None = None,
    fit: Literal["stretch", "crop", "pad"] | None = None,
    mean: _Values = None,
    std: _Values = None,
    json: Json = False,
) -> None:
    """Turn somebody else's checkpoint into a model file. Nothing in it is run; every name and shape is compared.

    What is not given is that of the published weights from the same source, and is said.

    Parameters
    ----------
    checkpoint
        A state dict of PyTorch (.pth, .pt, .th, .bin, .safetensors), weights of Keras (.h5, .keras) or of Caffe
        (.caffemodel).
    net
        Network, as svertka nets calls it; the one that the checkpoint fits, if it fits one only.
    source
        Whose names the checkpoint has: torchvision, timm, keras, … Recognised where not given.
    out
        File to write; beside the checkpoint by default, ending in .safetensors.
    classes
        Class names in the order of the outputs: a,b,c or a file with one a line.
    licence
        Licence of the weights, best as an SPDX expression.
    image_size
        Side of the network's input, in pixels.
    fit
        How an image is brought to that size.
    mean
        Of every channel, or one for all, where white is 1.
    std
        Like mean.
    """
    adopted = run_adopt(
        checkpoint,
        net=net,
        source=source,
        out=out,
        classes=classes,
        licence=licence,
        image_size=image_size,
        fit=fit,
        mean=mean,
        std=std,
    )
    if json:
        print_json(adopted.to_json())
    else:
        _print(adopted)


def _print(adopted: Adopted) -> None:
    shown = ", ".join(adopted.classes[:4]) + (", …" if len(adopted.classes) > 4 else "")
    say(f"wrote {adopted.model}: {adopted.net}, {counted(len(adopted.classes), 'class')} ({shown})")
    origin = f"the published weights {adopted.published}" if adopted.published else f"names of {adopted.source}"
    say(f"recognised: {origin}; licence: {adopted.licence}")
    way = adopted.preprocess
    cut = f"shorter side to {way.shorter}, the middle " if way.shorter else f"{way.fit} to "
    mean, std = (" ".join(f"{value:.4g}" for value in values) for values in (way.mean, way.std))
    say(f"preprocessing: {cut}{way.height}×{way.width}, {way.order}, mean {mean}, std {std}")
    for assumption in adopted.assumed:
        say(f"assumed: {assumption}")
