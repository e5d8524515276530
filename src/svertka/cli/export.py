"""``svertka export``."""

from __future__ import annotations

from pathlib import Path

from svertka.cli._output import Json, print_json
from svertka.verbs.export import Format
from svertka.verbs.export import export as run_export


def export(model: Path, /, *, format: Format = "onnx", out: Path | None = None, json: Json = False) -> None:  # noqa: A002
    """Write a model in a format that other programs run. What does not reproduce the golden outputs is not written.

    Parameters
    ----------
    model
        Model file (.safetensors) or a run's folder.
    format
        Format to write.
    out
        File to write; beside the model by default.
    """
    exported = run_export(model, format=format, out=out)
    if json:
        print_json(exported.to_json())
    else:
        print(
            f"wrote {exported.model} ({exported.bytes / 1000:,.0f} kB); "
            f"largest difference to the golden outputs: {exported.max_abs_diff:.2g}"
        )
