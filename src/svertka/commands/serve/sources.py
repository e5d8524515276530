"""The models that are to be served: what each is called, and how it is opened, the first time and again."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path

from svertka.errors import UserError
from svertka.runtime.card import CARD_KEY, Card
from svertka.runtime.engines import open_engine
from svertka.runtime.predictor import Predictor
from svertka.runtime.safetensors import read_header
from svertka.serving.models import Explain, Open, Opened
from svertka.workflows.models import model_file, open_predictor

_EXPORTED = "an exported model has no gradients: serve the .safetensors that it was exported from"


def sources_of(models: Sequence[str | PathLike[str]], say: Callable[[str], None]) -> dict[str, Open]:
    """What opens each model, by its name.

    Args:
        models: Each a path, a name of published weights, or ``NAME=PATH``.
        say: Told of what takes a while.

    Raises:
        UserError: There is none, two have one name, or one cannot be had.
    """
    found: dict[str, Open] = {}
    for given in models:
        name, path = _named(os.fspath(given))
        if name in found:
            raise UserError(f"two models called {name}", where=path, mend="give one as NAME=PATH")
        found[name] = functools.partial(_open, model_file(path), say)
    if not found:
        raise UserError("no model is given", mend="name model files, or folders of runs")
    return found


def _named(given: str) -> tuple[str, Path]:
    name, _, rest = given.partition("=")
    if name and rest and not Path(given).exists():
        return name, Path(rest)
    path = Path(given)
    place = path.resolve()
    inside = place.parent if path.is_file() and place.stem == "model" else place
    return (inside.name if inside.is_dir() else inside.stem) or "model", path


def _open(path: Path, say: Callable[[str], None]) -> Opened:
    say(f"opening {path}")
    if path.suffix.lower() == ".onnx":
        return Opened(_predictor(path), (path,), unexplained=_EXPORTED)
    exported = path.with_suffix(".onnx")
    predictor = _exported(path, exported, say)
    files = (path, exported) if predictor is None else (exported, path)
    explain, unexplained = _explain(path)
    return Opened(predictor or open_predictor(path), files, explain, unexplained)


def _exported(path: Path, exported: Path, say: Callable[[str], None]) -> Predictor | None:
    """What was exported of a model file, where that is beside it and says all that the file says."""
    if not exported.is_file():
        return None
    try:
        predictor = _predictor(exported)
    except UserError as error:
        say(f"{error}; {path.name} is used")
        return None
    card = Card.from_json(read_header(path).metadata.get(CARD_KEY, ""), where=path)
    if _apart_from_running(predictor.card) != _apart_from_running(card):
        say(f"{exported}: exported from another model than {path.name}, which is used; run `svertka export` again")
        return None
    return predictor


def _predictor(exported: Path) -> Predictor:
    # Connections want to be answered while a network runs: 13 % more answers under four times the load, as each image
    # takes 2 to 28 % longer where nothing else runs (two cores).
    return Predictor(*open_engine(exported, spin=False))


def _apart_from_running(card: Card) -> str:
    """What a card says, but for how its graph is run and what it answers then."""
    provenance = {name: value for name, value in card.provenance.items() if name != "export"}
    return dataclasses.replace(card, golden=(), deployment=None, provenance=provenance).to_json()


def _explain(path: Path) -> tuple[Explain | None, str]:
    try:
        from svertka.commands.serve.explaining import explaining
    except ModuleNotFoundError as error:
        return None, f"explaining needs {error.name}: pip install 'svertka[train]'"
    try:
        return explaining(path), ""
    except UserError as error:
        return None, str(error)
