"""Export: from a model file to what ships."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any, Literal, get_args

from svertka.commands.export.result import Exported
from svertka.errors import UserError, nearest
from svertka.runtime.cores import MOST_THREADS, available_cores
from svertka.runtime.deployment import Precision
from svertka.runtime.files import replacing
from svertka.workflows.models import model_file
from svertka.workflows.progress import Display

Format = Literal["onnx"]
Wanted = Literal["auto", "fp32", "bf16", "int8"]
_WANTED: dict[str, tuple[Precision, ...]] = {
    "auto": ("fp32", "bf16", "int8"),
    "fp32": ("fp32",),
    "bf16": ("bf16",),
    "int8": ("int8",),
}
_MAX_DROP = 0.5  # points
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
        UserError: The model or the data cannot be used, the export does not agree with the model, or the precision that
            is asked for loses too much.
    """
    source = model_file(Path(model))
    if source.suffix != ".safetensors":
        raise UserError("only a .safetensors model can be exported", where=source)
    if format != "onnx":
        raise UserError(f"unknown format {format!r}", mend="formats: onnx")
    precision = precision or ("fp32" if data is None else "auto")
    if precision not in get_args(Wanted):
        raise UserError(f"unknown precision {precision!r}", mend=nearest(precision, get_args(Wanted)))
    if data is None and precision != "fp32":
        raise UserError(f"{precision} has to be measured on your images", mend="name a data set with --data")
    if max_drop is not None and not 0 <= max_drop <= 100:
        raise UserError(f"a drop of {max_drop} points", mend="--max-drop is between 0 and 100")
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise UserError(f"threads is {threads}", mend=f"--threads is between 1 and {MOST_THREADS:,}")
    for flag, value in (("max-drop", max_drop), ("threads", threads)):
        if data is None and value is not None:
            raise UserError(f"--{flag} is about what is measured", mend=f"give --data, or leave --{flag} out")
    from svertka.deploy.onnx import proven_onnx
    from svertka.zoo import registry
    from svertka.zoo.modelfile import load_model

    target = Path(out) if out is not None else source.with_suffix(".onnx")
    net, card = load_model(source)
    if "logits" not in net.output_names and (data is not None or pixels):
        found = registry.record(card.net).traits.gives
        mend = "leave out --data and --pixels"
        raise UserError(f"{card.net} finds {found}, and it is exported in fp32 alone", where=source, mend=mend)
    images = [golden.input for golden in card.golden]
    measured: dict[str, Any] | None = None
    if data is None:
        graph, apart = proven_onnx(net, card, any_size=any_size)
    else:
        from svertka.commands.export.deploying import deploy
        from svertka.commands.export.validating import Validation

        display = Display(show=progress)
        validation = Validation(Path(data), Path(model), card, display)
        deployed = deploy(
            net,
            card,
            validation,
            precisions=_WANTED[precision],
            max_drop=_MAX_DROP if max_drop is None else max_drop,
            threads=threads or available_cores(),
            any_size=any_size,
            display=display,
        )
        graph, card, apart, measured = deployed.graph, deployed.card, deployed.difference, deployed.measured
        images += validation.decoded(_DECODED) if pixels else []
    if pixels:
        from svertka.deploy.pixels import taking_pixels

        graph, card, apart = taking_pixels(graph, card, images)
    with replacing(target) as file:
        file.write(graph)
    return Exported(target, format, target.stat().st_size, apart, card.deployment, measured)
