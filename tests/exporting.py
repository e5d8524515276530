"""Exporting in tests, without what would be done again and again and prove nothing new."""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
import safetensors.torch


@contextlib.contextmanager
def operators_read_once() -> Iterator[None]:
    """Let the exporter parse its five hundred operators once, and not for every graph anew, which takes a second."""
    values = pytest.importorskip("onnxscript._internal.values")
    operator = getattr(values, "TracedOnnxFunction", None)
    if operator is None:  # another release
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operator, "function_ir", property(functools.cache(operator.function_ir.fget)))
        yield


@contextlib.contextmanager
def graphs_remembered() -> Iterator[None]:
    """Let a graph be exported once of the same weights and card: by ``verify``, by ``export``, by ``bench``."""
    from svertka.commands.bench import subject
    from svertka.commands.export import deploying
    from svertka.deploy import onnx

    made: dict[tuple[str, str, bool], bytes] = {}
    export = onnx.onnx_bytes

    def onnx_bytes(net: Any, card: Any, *, any_size: bool = False) -> bytes:
        weights = safetensors.torch.save({name: value.contiguous() for name, value in net.state_dict().items()})
        key = (hashlib.sha256(weights).hexdigest(), card.to_json(), any_size)
        if key not in made:
            made[key] = export(net, card, any_size=any_size)
        return made[key]

    with pytest.MonkeyPatch.context() as patch:
        for module in (onnx, subject, deploying):
            patch.setattr(module, "onnx_bytes", onnx_bytes)
        yield
