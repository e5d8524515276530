"""Export: from a model file to what ships."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from svertka.commands.export.result import Exported
from svertka.errors import UserError, nearest
from svertka.runtime.card import image_input
from svertka.runtime.cores import MOST_THREADS
from svertka.runtime.deployment import Precision
from svertka.runtime.files import replacing
from svertka.spelling import place_of
from svertka.workflows.models import model_file
from svertka.workflows.progress import Display

if TYPE_CHECKING:
    from svertka.commands.export.validating import Validation
    from svertka.layers.net import Net
    from svertka.runtime.card import Card

Format = Literal["onnx"]
Wanted = Literal["auto", "fp32", "bf16", "int8"]
_WANTED: dict[str, tuple[Precision, ...]] = {
    "auto": ("fp32", "bf16", "int8"),
    "fp32": ("fp32",),
    "bf16": ("bf16",),
    "int8": ("int8",),
}
_DECODED = 24  # images that preparing in the graph is compared by


def export(
    model: str | PathLike[str],
    *,
    format: Format = "onnx",  # noqa: A002 (as the flag is called)
    out: str | PathLike[str] | None = None,
    data: str | PathLike[str] | None = None,
    precision: Wanted | None = None,
    max_drop: float | None = None,
    threads: int | None = None,
    any_size: bool = False,
    pixels: bool = False,
    progress: bool = True,
) -> Exported:
    """Export a model; what does not reproduce the golden outputs is not written.

    With images, every engine and precision that is here is compared with the network on them, scored and timed, and
    the file says how it is run best. One ONNX file is what both ONNX Runtime and OpenVINO run, whatever the precision.

    Args:
        model: Model file (.safetensors) or a run's folder.
        format: Format to write.
        out: File to write; beside the model by default.
        data: A data set as `train` takes it, to calibrate and measure with. Of the very data that the model was trained
            on, what was held out then is what engines are scored on.
        precision: ``fp32``, ``bf16`` or ``int8``; ``auto``, the default where there are images, keeps the fastest that
            scores as well. Without images there is ``fp32`` alone.
        max_drop: How many points (of 100) of the score a lower precision may lose; half a point if not given.
        threads: How many each engine is timed with; all that this process may use by default.
        any_size: Leave height and width of the input open, for networks that take any.
        pixels: Put preprocessing into the graph, which then takes decoded images, ``(N, H, W, 3)`` uint8 RGB.
        progress: Show progress on standard error.

    Raises:
        UserError: Model or data cannot be used, the export does not agree with the model, or the precision loses much.
    """
    source = _source(Path(model), format)
    precisions = _precisions(precision, max_drop, threads, measured=data is not None)
    from svertka.deploy.onnx import proven_onnx

    target = Path(out) if out is not None else source.with_suffix(".onnx")
    net, card = _opened(source, plain=data is None and not pixels)
    images = [golden.input for golden in card.golden]
    measured: dict[str, Any] | None = None
    if data is None:
        graph, apart = proven_onnx(net, card, any_size=any_size)
    else:
        from svertka.commands.export.deploying import deploy

        validation = _validation(place_of(data), Path(model), card, Display(show=progress))
        graph, card, apart, measured = deploy(
            net, card, validation, precisions, max_drop=max_drop, threads=threads, any_size=any_size
        )
        images += validation.decoded(_DECODED) if pixels else []
    if pixels:
        from svertka.deploy.pixels import taking_pixels

        graph, card, apart = taking_pixels(graph, card, images)
    with replacing(target) as file:
        file.write(graph)
    return Exported(target, format, target.stat().st_size, apart, card.deployment, measured)


def _source(model: Path, format_: str) -> Path:
    source = model_file(model)
    if source.suffix != ".safetensors":
        raise UserError("only a .safetensors model can be exported", where=source)
    if format_ != "onnx":
        raise UserError(f"unknown format {format_!r}", mend="formats: onnx")
    return source


def _precisions(
    precision: str | None, max_drop: float | None, threads: int | None, *, measured: bool
) -> tuple[Precision, ...]:
    # Those to try; raises where what is asked for needs images to measure on, or is out of range.
    precision = precision or ("auto" if measured else "fp32")
    if precision not in _WANTED:
        raise UserError(f"unknown precision {precision!r}", mend=nearest(precision, tuple(_WANTED)))
    if not measured and precision != "fp32":
        raise UserError(f"{precision} has to be measured on your images", mend="name a data set with --data")
    if max_drop is not None and not 0 <= max_drop <= 100:
        raise UserError(f"a drop of {max_drop} points", mend="--max-drop is between 0 and 100")
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise UserError(f"threads is {threads}", mend=f"--threads is between 1 and {MOST_THREADS:,}")
    for flag, value in (("max-drop", max_drop), ("threads", threads)):
        if not measured and value is not None:
            raise UserError(f"--{flag} is about what is measured", mend=f"give --data, or leave --{flag} out")
    return _WANTED[precision]


def _validation(data: Path, model: Path, card: Card, display: Display) -> Validation:
    from svertka.commands.export.validating import Validation

    return Validation(data, model, card, display)


def _opened(source: Path, *, plain: bool) -> tuple[Net, Card]:
    from svertka.zoo import registry
    from svertka.zoo.modelfile import load_model

    net, card = load_model(source)
    if not plain:
        image_input(card, where=source)  # what is measured, and what a graph prepares itself, are images
    if "logits" not in net.output_names and not plain:
        found = registry.record(card.net).traits.gives
        mend = "leave out --data and --pixels"
        raise UserError(f"{card.net} finds {found}, and it is exported in fp32 alone", where=source, mend=mend)
    return net, card
