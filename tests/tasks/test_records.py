"""The records of tasks: what they name is there, and no annotations ask for two of them."""

from __future__ import annotations

import dataclasses
import itertools
import re
from pathlib import Path

import numpy as np
import pytest

import svertka
from svertka.annotations import Annotation, Box, Boxes, Mask
from svertka.errors import UserError
from svertka.task_records.record import TaskRecord, of_contract, record, records
from svertka.tasks.making import task_of
from svertka.testing import check_task
from svertka.zoo.modelfile import load_model
from svertka.zoo.records import KINDS

EVERY_TASK = pytest.mark.parametrize("task", records(), ids=lambda task: task.name)


class Plain:
    """A mask that needs no file."""

    def digest(self) -> str:
        return ""

    def load(self) -> np.ndarray:
        return np.zeros((2, 2), np.uint8)


ANNOTATIONS: dict[str, list[Annotation]] = {
    "classification": ["cat", "dog"],
    "multilabel": [("cat", "dog"), "cat", ()],
    "segmentation": [Mask(Plain(), ("background", "cat"))],
    "detection": [Boxes((Box("cat", 0, 0, 1, 1),), (2, 2)), Boxes((), (2, 2))],
}


@EVERY_TASK
def test_what_a_record_names_is_there(task: TaskRecord) -> None:
    check_task(task, ANNOTATIONS[task.name])


def test_annotations_ask_for_one_task() -> None:
    assert ANNOTATIONS.keys() == {task.name for task in records()}
    for name, labels in ANNOTATIONS.items():
        assert [task.name for task in records() if task.suits(labels)] == [name]
    for one, other in itertools.permutations(ANNOTATIONS, 2):
        if {one, other} != {"classification", "multilabel"}:
            assert not [task for task in records() if task.suits([*ANNOTATIONS[one], *ANNOTATIONS[other]])]


def test_published_weights_are_of_one_task() -> None:
    for contract in KINDS:
        assert [task.published for task in of_contract(contract)].count(True) == 1
        assert of_contract(contract)[0].published


def test_an_unknown_task_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="unknown task 'detecting' in the card; did you mean detection"):
        record("detecting")


def test_shared_tables_name_no_task() -> None:
    names = "|".join(task.name for task in records())
    source = Path(svertka.__file__).parent
    for place in ("tasks/making.py", "runtime/decoding.py", "workflows/explaining/kinds.py", "zoo/records.py"):
        assert not re.search(rf"[\"'.]({names})\b", (source / place).read_text()), place


def test_a_card_of_every_task_is_opened(tiny_model: Path) -> None:
    _, card = load_model(tiny_model)
    for task in records():
        assert task_of(dataclasses.replace(card, task=task.name)).name == task.name
