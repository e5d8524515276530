"""A plug-in's task that cannot be learnt is refused in one line, before the folder of the run is there."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray
from PIL import Image
from torch import nn

import svertka
from svertka import plugins
from svertka.data.batching.samplers import PerClass, Sampler
from svertka.task_records.record import record
from svertka.tasks.classification import Classification
from svertka.tasks.task import Update

PLAIN: dict[str, Any] = {
    "task": "sorting",
    "net": "lenet5",
    "epochs": 1,
    "augment": "none",
    "precision": "fp32",
    "layout": "channels_first",
    "threads": 1,
}


class Sorting(Classification):
    """Classification with the parts that it is given."""

    name = "sorting"
    own: Callable[..., tuple[Update, ...]] | None = None
    by_class: int | None = None

    def updates(self, net: nn.Module) -> tuple[Update, ...]:
        return super().updates(net) if self.own is None else self.own()

    def sampler(self, targets: NDArray[Any], *, batch: int, seed: int) -> Sampler | None:
        del batch
        return None if self.by_class is None else PerClass(targets, self.by_class, 2, seed=seed)

    def of(self, *parameters: str) -> tuple[Update, ...]:
        return tuple(Update(name, (name,), self.step) for name in parameters)


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "_state", plugins._State())
    parts = {"learnt": Sorting.learnt_from, "opened": Sorting.of_card}
    plugins.register(dataclasses.replace(record("classification"), name="sorting", asked=True, **parts))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("refused") / "pictures"
    for cls in ("cat", "dog"):
        (folder / cls).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (8, 8), (20 * number, 9, 9 + 100 * (cls == "dog"))).save(folder / cls / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def weights(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("refused") / "run"
    return svertka.train(pictures, out=out, progress=False, **{**PLAIN, "task": "auto"}).model


@pytest.mark.parametrize("trained", [False, True], ids=["scratch", "weights"])
@pytest.mark.parametrize(
    ("parts", "recipe", "line"),
    [
        ({"own": lambda task: task.of()}, {}, "the task 'sorting' has no updates"),
        ({"own": lambda task: task.of("head")}, {}, "belongs to no update"),
        ({"own": lambda task: (*task.of("head"), *Classification.updates(task, nn.Identity()))}, {}, "is called ''"),
        ({"own": lambda task: task.of("trunk", "haed")}, {}, "is to own 'haed'"),
        ({"by_class": 3}, {}, "a batch is to have 3 classes"),
        ({"diagnostics": {"dead_relu"}}, {}, "asks for a diagnosis 'dead_relu'"),
        ({"whole_batch": True}, {"accumulate": 2}, "learns from pairs within a batch"),
    ],
    ids=["no updates", "unowned", "nameless", "misspelt", "few classes", "no such diagnosis", "cut batches"],
)
def test_a_task_that_cannot_be_learnt_leaves_no_folder(
    parts: dict[str, Any],
    recipe: dict[str, Any],
    line: str,
    trained: bool,
    pictures: Path,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, part in parts.items():
        monkeypatch.setattr(Sorting, name, part)
    given = {"weights": weights, "head": "own", "freeze": "c1"} if trained else {}
    with pytest.raises(svertka.UserError, match=line) as caught:
        svertka.train(pictures, out=tmp_path / "run", progress=False, **{**PLAIN, **given, **recipe})
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
