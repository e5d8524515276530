"""Files of weights that would run something, by every route; ``benchmarks/soak_weights.py`` has more of it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest


def test_nothing_runs_and_what_is_taken_is_whole(soak_weights: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("h5py")
    files = soak_weights.write_models(tmp_path)
    assert all(soak_weights.judge(path, model=kind == "model") for kind, path in files.items())
    assert soak_weights.refuse(tmp_path, files["model"]) >= 30
    taken, _ = soak_weights.soak(tmp_path, files, 60, seed=1)
    assert taken < 60
