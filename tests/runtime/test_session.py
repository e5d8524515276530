"""Sessions: results over time, and the same ones after a session was killed and restored."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from svertka import plugins
from svertka.errors import UserError
from svertka.results import Classes, ClassScore, Result
from svertka.runtime.predictor import Predictor
from svertka.runtime.session import Session
from svertka.task_records.record import record
from svertka.workflows.models import open_predictor


class RunningMean(Session):
    """Says the class that is likeliest by the mean of all scores up to here; the first input gives nothing yet."""

    def __init__(self, predictor: Predictor) -> None:
        super().__init__(predictor)
        self.total = [0.0] * len(predictor.card.classes)

    def take(self, value: NDArray[Any]) -> list[Result]:
        (found,) = self.predictor.predict([value])
        assert isinstance(found, Classes)
        by_name = {entry.name: entry.score for entry in found.classes}
        self.total = [one + by_name[name] for one, name in zip(self.total, self.predictor.card.classes, strict=True)]
        if not self.fed:
            return []
        means = np.array(self.total) / (self.fed + 1)
        order = np.argsort(-means, kind="stable")
        return [Classes(tuple(ClassScore(self.predictor.card.classes[i], float(means[i])) for i in order))]

    def remembered(self) -> dict[str, Any]:
        return {"total": self.total}

    def recall(self, remembered: dict[str, Any]) -> None:
        self.total = [float(value) for value in remembered["total"]]
        if len(self.total) != len(self.predictor.card.classes):
            raise ValueError("another number of classes")


@pytest.fixture
def predictor(tiny_model: Path) -> Predictor:
    return open_predictor(tiny_model)


@pytest.fixture
def watching(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> Predictor:
    monkeypatch.setattr(plugins, "_state", plugins._State())
    plugins.register(dataclasses.replace(record("classification"), name="watching", session=RunningMean))
    return Predictor(predictor.engine, dataclasses.replace(predictor.card, task="watching"))


def frames(count: int) -> list[NDArray[np.uint8]]:
    return list(np.random.default_rng(0).integers(0, 256, (count, 5, 4, 3), np.uint8))


def test_a_session_that_remembers_nothing_counts(predictor: Predictor, tmp_path: Path) -> None:
    session = predictor.session()
    for number, frame in enumerate(frames(3)):
        (result,) = session.feed(frame)
        assert result.to_json() == predictor(frame).to_json()
        assert session.state()["fed"] == number + 1
    Image.fromarray(frames(1)[0]).save(tmp_path / "frame.png")
    assert session.feed(tmp_path / "frame.png")[0].to_json() == predictor(frames(1)[0]).to_json()
    again = predictor.session()
    again.restore(json.loads(json.dumps(session.state())))
    assert again.fed == 4


def test_killed_and_restored_it_goes_on_with_the_same_answers(watching: Predictor) -> None:
    whole, answers = watching.session(), []
    for frame in frames(6):
        answers.append([result.to_json() for result in whole.feed(frame)])
    assert answers[0] == []
    assert answers[5] != [watching(frames(6)[5]).to_json()]
    for killed in range(6):
        before = watching.session()
        for frame in frames(killed):
            before.feed(frame)
        state = json.dumps(before.state())
        after = watching.session()
        after.restore(json.loads(state))
        rest = [[result.to_json() for result in after.feed(frame)] for frame in frames(6)[killed:]]
        assert rest == answers[killed:]


def test_an_input_that_is_refused_is_not_remembered(watching: Predictor) -> None:
    session = watching.session()
    session.feed(frames(1)[0])
    before = session.state()
    with pytest.raises(UserError):
        session.feed(np.zeros((2, 2), np.uint8))
    assert session.state() == before


@pytest.mark.parametrize(
    "change",
    [
        {"weights": "0" * 64},
        {"task": "classification"},
        {"fed": -1},
        {"fed": True},
        {"fed": "3"},
        {"remembered": None},
        {"remembered": {}},
        {"remembered": {"total": [1]}},
        {"remembered": {"total": ["x", 1, 1]}},
    ],
    ids=str,
)
def test_a_state_that_is_none_changes_nothing(watching: Predictor, change: dict[str, Any]) -> None:
    session = watching.session()
    for frame in frames(2):
        session.feed(frame)
    before = session.state()
    with pytest.raises(UserError, match="the state of a session"):
        session.restore(before | change)
    with pytest.raises(UserError, match="the state of a session"):
        session.restore({})
    assert session.state() == before


def test_a_session_without_memory_refuses_one(predictor: Predictor) -> None:
    session = predictor.session()
    with pytest.raises(UserError, match="it remembers what this session does not"):
        session.restore(session.state() | {"remembered": {"total": [1, 2, 3]}})
