"""Opening a trained model, for the commands that use one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from svertka.errors import UserError
from svertka.runtime.engines import open_engine
from svertka.runtime.predictor import Predictor
from svertka.workflows.progress import Display

if TYPE_CHECKING:
    from svertka.zoo.published import WeightsRecord

MODEL_NAME = "model.safetensors"
"""What the model file of a run is called."""


def model_file(path: Path) -> Path:
    """The model file at ``path``: itself, the one in a run's folder, or that of published weights by their name.

    Raises:
        UserError: There is none, it cannot be had, or its kind is not read here.
    """
    return _at_hand(path) if path.exists() else _published(path)


def net_of(path: Path) -> str:
    """The registry name of the network whose weights are at ``path``, or are published by that name.

    Nothing is fetched for it: the record of published weights says it.

    Raises:
        UserError: There are none.
    """
    if not path.exists():
        return _published_record(path).net
    found = _at_hand(path)
    if found.suffix.lower() != ".safetensors":
        raise UserError("only a .safetensors model can be trained further", where=path)
    from svertka.zoo.modelfile import read_card

    return read_card(found).net


def open_predictor(path: Path) -> Predictor:
    """A predictor for the model at ``path``: PyTorch for .safetensors; for .onnx, without torch, what its card names.

    Raises:
        UserError: The model is missing or damaged.
    """
    path = model_file(path)
    return _OPENERS[path.suffix.lower()](path)


def _at_hand(path: Path) -> Path:
    """The model file at a path that is there."""
    if path.is_dir():
        inside = path / MODEL_NAME
        if not inside.is_file():
            raise UserError(f"a folder without {MODEL_NAME}", where=path, mend="give a model file or a run's folder")
        return inside
    if path.suffix.lower() not in _OPENERS:
        raise UserError(
            f"a model file ends in {' or '.join(_OPENERS)}",
            where=path,
            mend="pickles (.pt, .pth, .pkl) are never opened, for they can run code",
        )
    return path


def _published_record(name: Path) -> WeightsRecord:
    from svertka.zoo import weights

    record = weights.find(name.as_posix())
    if record is None:
        mend = "give a model file, a run's folder, or a network with published weights"
        raise UserError("no such model", where=name, mend=mend)
    return record


def _published(name: Path) -> Path:
    from svertka.zoo import weights

    record = _published_record(name)
    try:
        return weights.obtain(record, advance=Display(show=True).downloading)
    except ModuleNotFoundError as error:
        raise UserError(
            f"converting published weights needs {error.name}", where=name, mend="pip install 'svertka[train]'"
        ) from error


def _open_safetensors(path: Path) -> Predictor:
    try:
        from svertka.zoo.engine import TorchEngine
        from svertka.zoo.modelfile import load_model
    except ModuleNotFoundError as error:
        raise UserError(
            f"a .safetensors model needs {error.name}",
            where=path,
            mend="pip install 'svertka[train]', or give the exported .onnx",
        ) from error
    net, card = load_model(path)
    return Predictor(TorchEngine(net), card)


def _open_onnx(path: Path) -> Predictor:
    return Predictor(*open_engine(path))


_OPENERS: Mapping[str, Callable[[Path], Predictor]] = {".safetensors": _open_safetensors, ".onnx": _open_onnx}
