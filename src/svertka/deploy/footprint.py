"""How much memory a process takes that loads a model and answers one batch: measured in one of its own.

``python -m svertka.deploy.footprint ENGINE FILE THREADS N C H W`` prints the most bytes that were resident; of a graph
that takes pixels, with N H W 3.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from svertka.errors import UserError
from svertka.runtime.engines import OnnxRuntimeEngine, OpenVinoEngine
from svertka.runtime.onnx_card import read_onnx_card

if TYPE_CHECKING:
    from svertka.runtime.card import Card
    from svertka.runtime.engines import Engine

_STATUS = Path("/proc/self/status")
_PEAK = re.compile(r"^VmHWM:\s*(\d+) kB$", re.MULTILINE)


def footprint(engine: str, file: Path, shape: Sequence[int], *, threads: int) -> int | None:
    """The most bytes that are resident; None where the system does not tell, which Linux does.

    Args:
        engine: ``pytorch``, for a .safetensors; ``onnxruntime`` or ``openvino``, for an .onnx.
        file: The model.
        shape: Of the batch, ``(N, C, H, W)``; or ``(N, H, W, 3)``, of a graph that prepares images itself.
        threads: How many the engine is to use.

    Raises:
        UserError: The engine cannot run the model.
    """
    if not _STATUS.exists():
        return None
    command = [sys.executable, "-m", __name__, engine, str(file), *map(str, (threads, *shape))]
    path = os.pathsep.join(place for place in sys.path if place)
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"{engine} cannot run it: {reason}", where=file)
    return int(done.stdout)


def _opened(engine: str, file: Path, threads: int) -> tuple[Engine, Card]:
    if engine == "openvino":
        return OpenVinoEngine(file, threads=threads), read_onnx_card(file)
    if engine == "onnxruntime":
        return OnnxRuntimeEngine(file, threads=threads), read_onnx_card(file)
    from svertka.zoo.engine import TorchEngine
    from svertka.zoo.modelfile import load_model

    net, card = load_model(file)
    return TorchEngine(net), card


def main() -> None:
    """Measure this process."""
    engine, file, threads, *shape = sys.argv[1:]
    running, card = _opened(engine, Path(file), int(threads))
    pixels = card.deployment is not None and card.deployment.pixels
    running.run(np.zeros([int(side) for side in shape], np.uint8 if pixels else np.float32))
    found = _PEAK.search(_STATUS.read_text())
    assert found is not None
    print(1024 * int(found[1]))


if __name__ == "__main__":
    main()
