"""Engines that run an exported network. Each gives raw outputs by name for a batch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from svertka.errors import UserError
from svertka.runtime.card import CARD_KEY, Card
from svertka.runtime.decoders import Outputs


class Engine(Protocol):
    """Runs one network."""

    name: str

    def run(self, batch: NDArray[np.float32], *beside: NDArray[np.float32]) -> Outputs:
        """Raw outputs by name, each ``(N, …)`` float32, for a batch ``(N, C, H, W)``.

        Args:
            batch: The images.
            beside: What the network is given beside them; see `svertka.runtime.preprocess.Preprocess.beside`.
        """
        ...


class OnnxRuntimeEngine:
    """ONNX Runtime on the processor.

    Raises:
        UserError: The file is missing, damaged, or carries no card.
    """

    name = "onnxruntime"

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        import onnxruntime

        if not path.is_file():
            raise UserError("no such model file", where=path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or available_cores()
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong is raised, not printed
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's errors have no common class to catch
            raise _damaged(path, error) from error
        metadata = self._session.get_modelmeta().custom_metadata_map
        if CARD_KEY not in metadata:
            raise UserError("an ONNX file without a card", where=path, mend="export it with `svertka export`")
        self.card = Card.from_json(metadata[CARD_KEY], where=path)
        self._inputs = [given.name for given in self._session.get_inputs()]
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(self, batch: NDArray[np.float32], *beside: NDArray[np.float32]) -> Outputs:
        """See `Engine.run`."""
        given = dict(zip(self._inputs, (batch, *beside), strict=True))
        return dict(zip(self._outputs, self._session.run(self._outputs, given), strict=True))


class OpenVinoEngine:
    """OpenVINO on the processor, in single precision.

    Raises:
        UserError: OpenVINO is not installed, or cannot read the file.
    """

    name = "openvino"

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        try:
            import openvino
        except ImportError as error:
            raise UserError("OpenVINO is not installed", mend="pip install openvino") from error
        core = openvino.Core()
        config = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads or available_cores()}
        try:
            self._model = core.compile_model(str(path), "CPU", config)
        except RuntimeError as error:
            raise _damaged(path, error) from error
        self._outputs = [output.any_name for output in self._model.outputs]

    def run(self, batch: NDArray[np.float32], *beside: NDArray[np.float32]) -> Outputs:
        """See `Engine.run`."""
        results = self._model([batch, *beside])
        return {name: np.array(results[number]) for number, name in enumerate(self._outputs)}


def available_cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(f"not a readable ONNX model ({error})", where=path, mend="export it again")
