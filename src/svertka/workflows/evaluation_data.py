"""A data set divided as it was when a model learnt from it, so that it is judged by what it has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from svertka.errors import UserError
from svertka.runtime.inputs import transform_from_json
from svertka.task_records.record import record
from svertka.wording import inflected
from svertka.workflows.run_folder import SPLIT_NAME

if TYPE_CHECKING:
    from svertka.data.preparing import Prepared
    from svertka.data.samples import Dataset
    from svertka.runtime.card import Card
    from svertka.runtime.inputs import InputTransform
    from svertka.workflows.progress import Display


def divided_as_trained(
    data: Path | Dataset,
    model: Path,
    card: Card,
    display: Display,
    *,
    format: str | None,  # noqa: A002 (the user's word)
) -> Prepared:
    """Read a data set. Of the very data that the model was trained on, what was held out then is held out again.

    Args:
        data: A data set as `svertka.train` takes it.
        model: Model file or a run's folder.
        card: Of the model.
        display: Is told how it goes.
        format: Format of the data set to insist on.

    Raises:
        UserError: There is nothing usable.
    """
    from svertka.data.preparing import prepare

    told = card.provenance.get("data", {})
    fold = told.get("fold")
    written = _beside(model) if told.get("split_given") else None
    known = written is not None or not told.get("split_given")
    prepared = prepare(
        data,
        _learnt_by(card),
        val_fraction=float(told.get("val_fraction", 0.0)),
        seed=int(told.get("seed", 0)),
        fold=(int(fold[0]), int(fold[1])) if fold else None,
        group=told.get("group"),
        split=written,
        format=format,
        task=card.task if record(card.task).asked else None,
        divide_if=str(told.get("fingerprint", "")) if known else "",
        advance=display.advance,
    )
    if (
        known
        and "split" in told
        and prepared.fingerprint == told.get("fingerprint")
        and prepared.division != told["split"]
    ):
        nouns = inflected(2, card.media)
        display.warn(f"the {nouns} cannot be divided as they were in training: some that were learnt from are judged")
    return prepared


def _learnt_by(card: Card) -> InputTransform:
    """How the network took what it learnt from, which is not always what it takes: a generator takes noise.

    Raises:
        UserError: The card says it in a way that is none.
    """
    told = card.provenance.get("data", {}).get("input")
    if told is None:
        return card.input
    if not isinstance(told, dict) or not isinstance(told.get("media"), str):
        raise UserError("its card does not say how it took what it learnt from")
    return transform_from_json(told["media"], {name: value for name, value in told.items() if name != "media"})


def choose_part(prepared: Prepared, part: str) -> str:
    """The part to judge by: ``auto`` takes test, else val, else all.

    Raises:
        UserError: There is no such part.
    """
    if part == "auto":
        return next(name for name in ("test", "val", "all", "train") if name in prepared.parts)
    if part not in prepared.parts:
        raise UserError(f"there is no part {part!r}", mend=f"parts: {', '.join(prepared.parts)}")
    return part


def _beside(model: Path) -> Path | None:
    """The split that lies beside a model file."""
    path = (model if model.is_dir() else model.parent) / SPLIT_NAME
    return path if path.is_file() else None
