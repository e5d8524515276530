"""Engines that run an exported network. Each gives raw outputs by name for a batch."""

from __future__ import annotations

import contextlib
import io
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from svertka.errors import UserError
from svertka.runtime.card import Card
from svertka.runtime.cores import available_cores
from svertka.runtime.decoding import Outputs
from svertka.runtime.deployment import Deployment
from svertka.runtime.onnx_card import read_onnx_card
from svertka.runtime.onnx_runtime import cpu_session
from svertka.runtime.openvino_core import openvino_core, openvino_is_installed

_SHOWN = 300  # characters of an engine's error


class Engine(Protocol):
    """Runs one network."""

    name: str

    def run(self, batch: NDArray[Any], *beside: NDArray[np.float32]) -> Outputs:
        """Raw outputs by name, each ``(N, …)`` float32, for a batch ``(N, C, H, W)``.

        A graph that prepares images itself takes decoded ones of one size, ``(N, H, W, 3)`` uint8 RGB.

        Args:
            batch: The images.
            beside: What the network is given beside them; see `svertka.runtime.preprocess.Preprocess.beside`.
        """
        ...


class OnnxRuntimeEngine:
    """ONNX Runtime on the processor.

    Args:
        path: The exported graph.
        threads: How many to use; all that the process may use if not given.
        literal: Run every operation as the graph says it, in single precision. Quantised operations are then not
            replaced by faster ones that round elsewhere.
        spin: Let threads that have nothing to do go round and round: they begin sooner, but nobody else can run.
        card: What `read_onnx_card` gave for this file, where it was read before.

    Raises:
        UserError: The file is missing, damaged, altered, or carries no card.
    """

    name = "onnxruntime"

    def __init__(
        self,
        path: Path,
        *,
        threads: int | None = None,
        literal: bool = False,
        spin: bool = True,
        card: Card | None = None,
    ) -> None:
        self.card = card or read_onnx_card(path)
        self._path = path
        with _refused(path):
            self._session = cpu_session(_named(path), threads=threads, literal=literal, spin=spin)
        self._inputs = [given.name for given in self._session.get_inputs()]
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(self, batch: NDArray[np.float32], *beside: NDArray[np.float32]) -> Outputs:
        """See `Engine.run`."""
        with _refused(self._path):
            given = dict(zip(self._inputs, (batch, *beside), strict=True))
            return dict(zip(self._outputs, self._session.run(self._outputs, given), strict=True))


class OpenVinoEngine:
    """OpenVINO on the processor.

    Args:
        path: The exported graph.
        threads: How many to use; all that the process may use if not given.
        piece: Images that one thread takes at a time of a larger batch; 0 lets all threads work on the whole batch.
            Small pieces stay in the caches, and graphs of one size are planned better than those of any.
        bf16: Calculate in bf16, where the processor has it; else in single precision.

    Raises:
        UserError: OpenVINO is not installed, or cannot read the file.
    """

    name = "openvino"

    def __init__(self, path: Path, *, threads: int | None = None, piece: int = 0, bf16: bool = False) -> None:
        self._core = openvino_core()
        self._threads = threads or available_cores()
        self._precision = "bf16" if bf16 else "f32"
        self._lock = threading.Lock()
        self._path = path
        with _refused(path):
            model = self._read()
            shape = model.input(0).partial_shape
            self._image: list[int] | None = None
            # What takes images of any size is planned when it sees one; pieces are of images alone.
            if (
                piece
                and len(model.inputs) == 1
                and shape.rank.is_static
                and all(axis.is_static for axis in [*shape][1:])
            ):
                self._image = [axis.get_length() for axis in [*shape][1:]]
                model.reshape([1, *self._image])
            self._piece = piece if self._image else 0
            self._outputs = [output.any_name for output in model.outputs]
            self._together = self._requests(model, streams=1)[0]
        self._apart: list[Any] = []

    def run(self, batch: NDArray[np.float32], *beside: NDArray[np.float32]) -> Outputs:
        """See `Engine.run`."""
        with self._lock, _refused(self._path):  # a request has room for one batch
            if not self._piece:
                return self._answer(batch, *beside)
            wave = self._piece * self._threads
            # All threads work on a wave, each on its piece, and together on what is left, image by image.
            whole = len(batch) // wave * wave if len(batch) > 1 else 0
            answers = self._answers_apart(batch[:whole]) if whole else []
            answers += [self._answer(batch[place : place + 1]) for place in range(whole, len(batch))]
            return {name: np.concatenate([answer[name] for answer in answers]) for name in self._outputs}

    def _answer(self, batch: NDArray[np.float32], *beside: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        results = self._together.infer([batch, *beside], share_inputs=True)
        return {name: np.array(results[number]) for number, name in enumerate(self._outputs)}

    def _answers_apart(self, batch: NDArray[np.float32]) -> list[dict[str, NDArray[np.float32]]]:
        if not self._apart:  # planned at the first batch that needs it
            assert self._image is not None
            model = self._read()
            model.reshape([self._piece, *self._image])
            self._apart = self._requests(model, streams=self._threads)
        free, running = list(self._apart), deque[tuple[Any, NDArray[np.float32]]]()
        answers = []
        for start in range(0, len(batch), self._piece):
            if not free:
                free.append(running[0][0])
                answers.append(self._finished(*running.popleft()))
            request, piece = free.pop(), batch[start : start + self._piece]
            request.start_async([piece], share_inputs=True)
            running.append((request, piece))  # what is shared must stay
        return answers + [self._finished(*waiting) for waiting in running]

    def _finished(self, request: Any, piece: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        del piece
        request.wait()
        return {name: np.array(request.get_output_tensor(number).data) for number, name in enumerate(self._outputs)}

    def _read(self) -> Any:
        given = _named(self._path)
        return self._core.read_model(given if isinstance(given, str) else io.BytesIO(given))

    def _requests(self, model: Any, *, streams: int) -> list[Any]:
        config = {
            "INFERENCE_PRECISION_HINT": self._precision,
            "INFERENCE_NUM_THREADS": self._threads,
            "ENABLE_HYPER_THREADING": True,  # else, of as many threads, only those of cores of their own are used
            "NUM_STREAMS": streams,
        }
        compiled = self._core.compile_model(model, "CPU", config)
        return [compiled.create_infer_request() for _ in range(streams)]


def open_engine(path: Path, *, threads: int | None = None, spin: bool = True) -> tuple[Engine, Card]:
    """The engine that an exported graph is run by best, as its card says, and the card.

    Where that engine is not installed, ONNX Runtime runs the same graph.

    Args:
        path: The graph.
        threads: How many to use; all that the process may use if not given.
        spin: See `OnnxRuntimeEngine`; no other engine does so.

    Raises:
        UserError: The file is missing, damaged, or carries no card.
    """
    card = read_onnx_card(path)
    plan = card.deployment or Deployment()
    if plan.engine == "openvino" and openvino_is_installed():
        bf16 = plan.precision == "bf16"
        return OpenVinoEngine(path, threads=threads, piece=plan.piece, bf16=bf16), card
    return OnnxRuntimeEngine(path, threads=threads, spin=spin, card=card), card


@contextlib.contextmanager
def _refused(path: Path) -> Iterator[None]:
    """What an engine raises within becomes a `UserError` about the file ``path``.

    The errors of ONNX Runtime have no common class, and those of OpenVINO become others where their text, which can
    quote the file, is no UTF-8.
    """
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:
        why = type(error).__name__ if isinstance(error, UnicodeError) else str(error).strip().partition("\n")[0]
        why = "".join(letter if letter.isprintable() else "?" for letter in why[:_SHOWN])
        raise UserError(f"not a readable ONNX model ({why})", where=path, mend="export it again") from error


def _named(path: Path) -> str | bytes:
    """The file as engines take it: by name, or, where its name is no text, by its bytes."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return path.read_bytes()
    return str(path)
