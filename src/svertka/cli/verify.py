"""``svertka verify``."""

from __future__ import annotations

from pathlib import Path

from svertka.cli._output import Json, print_json, say
from svertka.commands.verify.command import verify as run_verify
from svertka.commands.verify.result import Verification
from svertka.wording import counted


def verify(model: Path, /, *, json: Json = False) -> int:
    """Let a model file prove itself: run its golden inputs through every engine at hand.

    The exit status is 1 if an engine does not give the golden outputs.

    Parameters
    ----------
    model
        Model file (.safetensors or .onnx) or a run's folder.
    """
    verified = run_verify(model)
    if json:
        print_json(verified.to_json())
    else:
        say("\n".join(verification_lines(verified)))
    return int(not verified.ok)


def verification_lines(verified: Verification) -> list[str]:
    """A verification as lines of text."""
    lines = [f"{verified.model}: {counted(verified.golden, 'golden input')}"]
    for engine in verified.engines:
        verdict = "ok" if engine.ok else "DIFFERS"
        lines.append(f"  {engine.name:<12} {verdict:<8} largest difference {engine.max_abs_diff:.2g}")
    lines += [f"  {name:<12} absent   {why}" for name, why in verified.absent.items()]
    return lines
