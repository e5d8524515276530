"""Export: from a model file to what ships."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from svertka.errors import UserError
from svertka.verbs._models import model_file

Format = Literal["onnx"]


@dataclass(frozen=True)
class Exported:
    """What came of an export.

    Attributes:
        model: The exported file.
        format: Its format.
        bytes: Its size.
        max_abs_diff: Largest absolute difference to the golden outputs.
    """

    model: Path
    format: str
    bytes: int
    max_abs_diff: float

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "model": str(self.model),
            "format": self.format,
            "bytes": self.bytes,
            "max_abs_diff": self.max_abs_diff,
        }


def export(
    model: str | PathLike[str],
    *,
    format: Format = "onnx",  # noqa: A002 (as the flag is called)
    out: str | PathLike[str] | None = None,
) -> Exported:
    """Export a model; what does not reproduce the golden outputs is not written.

    Args:
        model: Model file (.safetensors) or a run's folder.
        format: Format to write.
        out: File to write; beside the model by default.

    Raises:
        UserError: The model is missing or damaged, or the export does not agree with it.
    """
    source = model_file(Path(model))
    if source.suffix != ".safetensors":
        raise UserError("only a .safetensors model can be exported", where=source)
    if format != "onnx":
        raise UserError(f"unknown format {format!r}", mend="formats: onnx")
    from svertka.deploy.onnx import export_onnx
    from svertka.zoo.modelfile import load_model

    target = Path(out) if out is not None else source.with_suffix(".onnx")
    net, card = load_model(source)
    difference = export_onnx(net, card, target)
    return Exported(target, format, target.stat().st_size, difference)
