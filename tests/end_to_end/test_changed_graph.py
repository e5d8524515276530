"""Every command that opens an .onnx finds out that it was changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


@pytest.mark.parametrize("command", ["predict", "evaluate", "verify", "serve", "bench"])
def test_a_changed_graph_is_refused_in_a_line(
    command: str, tiny_onnx: Path, svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    images = tmp_path / "images"
    for name in ("cat", "dog", "hippopotamus"):
        (images / name).mkdir(parents=True)
        Image.fromarray(np.full((6, 6, 3), len(name), np.uint8)).save(images / name / "1.png")
    data = bytearray(tiny_onnx.read_bytes())
    data[len(data) // 8] ^= 1  # the graph comes first
    graph = tmp_path / "changed.onnx"
    graph.write_bytes(data)
    given: dict[str, tuple[object, ...]] = {
        "predict": (images,),
        "evaluate": (images, "--part", "all"),
        "bench": ("--batch", 1, "--threads", 1, "--seconds", 0.01, "--save", tmp_path / "machines.json"),
        "serve": ("--port", 0),
    }
    answer = svertka_call(command, graph, *given.get(command, ()), "--json")
    assert answer.status == 2
    assert answer.out == ""
    assert "changed.onnx: it was altered or damaged since it was exported; export it again" in answer.err
    assert "Traceback" not in answer.err
