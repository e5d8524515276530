"""Running frozen stages over many images, by the engine that is fastest here and computes the same."""

from __future__ import annotations

import io
import time
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from svertka.errors import UserError
from svertka.runtime.cores import available_cores
from svertka.runtime.onnx_runtime import cpu_session
from svertka.runtime.openvino_core import openvino_core

BulkName = Literal["openvino", "openvino_bf16", "onnxruntime", "pytorch"]

_BATCH = 8  # small enough to stay in the caches, large enough to keep the cores busy
_OPSET = 18
_LOOSE: dict[str, float] = {"openvino_bf16": 3e-2}
_EXACT = 1e-4

Outputs = tuple[NDArray[np.float32], ...]


class Bulk(Protocol):
    """Runs one network over many batches."""

    name: BulkName
    batch: int

    def stream(self, batches: Iterable[NDArray[np.float32]]) -> Iterator[Outputs]:
        """The outputs of every batch ``(N, C, H, W)``, in order; the next batches are prepared while it runs."""
        ...


class PytorchBulk:
    """PyTorch, which is always there, and what the others are compared with."""

    name: BulkName = "pytorch"
    batch = _BATCH

    def __init__(self, module: nn.Module) -> None:
        self._module = module.eval()

    def stream(self, batches: Iterable[NDArray[np.float32]]) -> Iterator[Outputs]:
        """See `Bulk.stream`."""
        for batch in batches:
            with torch.inference_mode():  # left before the answer is given: who asks must not find himself in it
                outputs = tuple(output.numpy() for output in self._module(torch.from_numpy(batch)))
            yield outputs


class OnnxRuntimeBulk:
    """ONNX Runtime on the processor."""

    name: BulkName = "onnxruntime"
    batch = _BATCH

    def __init__(self, graph: bytes) -> None:
        self._session = cpu_session(graph)

    def stream(self, batches: Iterable[NDArray[np.float32]]) -> Iterator[Outputs]:
        """See `Bulk.stream`."""
        for batch in batches:
            yield tuple(self._session.run(None, {"images": batch}))


class OpenVinoBulk:
    """OpenVINO on the processor, one batch a core at a time.

    Args:
        graph: ONNX.
        bf16: Compute in bf16, where the processor has it.
    """

    batch = _BATCH

    def __init__(self, graph: bytes, *, bf16: bool) -> None:
        self.name: BulkName = "openvino_bf16" if bf16 else "openvino"
        cores = available_cores()
        config = {
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
            "NUM_STREAMS": cores,
            "INFERENCE_NUM_THREADS": cores,
        }
        core = openvino_core()
        compiled = core.compile_model(core.read_model(graph), "CPU", config)
        # One more than can run, so that the next batch waits at the door.
        self._requests = [compiled.create_infer_request() for _ in range(cores + 1)]

    def stream(self, batches: Iterable[NDArray[np.float32]]) -> Iterator[Outputs]:
        """See `Bulk.stream`."""
        free, running = list(self._requests), deque[Any]()

        def finished() -> Outputs:
            request = running.popleft()
            request.wait()
            free.append(request)
            return tuple(np.array(output.data) for output in request.output_tensors)

        for batch in batches:
            if not free:
                yield finished()
            request = free.pop()
            request.start_async([batch])
            running.append(request)
        while running:
            yield finished()


def fastest(module: nn.Module, examples: NDArray[np.float32], *, wanted: BulkName | None = None) -> Bulk:
    """The fastest engine here that gives what PyTorch gives.

    Each is timed on the same few batches. One that is not installed, fails, or differs from PyTorch by more than
    1e-4 of the largest value (3e-2 for bf16) is left out.

    Args:
        module: Maps ``(N, C, H, W)`` to a tuple of tensors with N rows.
        examples: A few images, a multiple of 8, ``(N, C, H, W)``.
        wanted: Take this one, if it is there and right, without timing.

    Raises:
        UserError: The wanted one is not there, or not right.
    """
    plain = PytorchBulk(module)
    if wanted == "pytorch":
        return plain
    batches = [examples[start : start + _BATCH] for start in range(0, len(examples), _BATCH)]
    expected, best_seconds = _timed(plain, batches[:1])
    best: Bulk = plain
    graph = b""
    for name in _candidates(wanted):
        try:
            graph = graph or _graph(module, examples)
            engine = OnnxRuntimeBulk(graph) if name == "onnxruntime" else OpenVinoBulk(graph, bf16=name in _LOOSE)
            outputs, _ = _timed(engine, batches[:1])
        except Exception:  # not installed, or without one of the operations; their errors have no common class
            continue
        if not _agree(outputs[0], expected[0], _LOOSE.get(name, _EXACT)):
            continue
        if wanted is not None:
            return engine
        _, seconds = _timed(engine, batches)
        if seconds / len(batches) < best_seconds:
            best, best_seconds = engine, seconds / len(batches)
    if wanted is not None:
        raise UserError(
            f"the engine {wanted!r} is not installed here, or computes something else", mend="leave it open"
        )
    return best


def engines() -> list[BulkName]:
    """What there is to choose from; not all need be installed."""
    return [*_candidates(None), "pytorch"]


def _candidates(wanted: BulkName | None) -> list[BulkName]:
    if wanted is not None:
        return [wanted]
    bf16: list[BulkName] = ["openvino_bf16"] if torch.ops.mkldnn._is_mkldnn_bf16_supported() else []
    return [*bf16, "openvino", "onnxruntime"]


def _graph(module: nn.Module, examples: NDArray[np.float32]) -> bytes:
    # The exporter by tracing takes a tenth of the time of the one that ships models. What it makes is compared with
    # PyTorch before it is used, and is never kept.
    written = io.BytesIO()
    with torch.inference_mode():
        names = [f"output{number}" for number, _ in enumerate(module(torch.from_numpy(examples[:2])))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            (torch.from_numpy(examples[:2]),),
            written,  # type: ignore[arg-type]
            input_names=["images"],
            dynamo=False,
            opset_version=_OPSET,
            output_names=names,
            dynamic_axes={name: {0: "batch"} for name in ("images", *names)},
        )
    return written.getvalue()


def _timed(engine: Bulk, batches: list[NDArray[np.float32]]) -> tuple[list[Outputs], float]:
    started = time.perf_counter()
    outputs = list(engine.stream(batches))
    return outputs, time.perf_counter() - started


def _agree(outputs: Outputs, expected: Outputs, tolerance: float) -> bool:
    return len(outputs) == len(expected) and all(
        one.shape == other.shape and float(np.abs(one - other).max()) <= tolerance * float(np.abs(other).max())
        for one, other in zip(outputs, expected, strict=True)
    )
