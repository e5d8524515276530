"""The checks that are shipped: a network, a task and a reader with a fault planted, each told by it."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from svertka.data.batching.samplers import Sampler
from svertka.data.readers.folders import FOLDERS
from svertka.data.samples import Dataset, Format, Sample, Skipped
from svertka.errors import UserError
from svertka.layers.trunk import Classifier, Trunk
from svertka.task_records.record import record
from svertka.tasks.classification import Classification
from svertka.testing import check_net, check_reader, check_task
from svertka.zoo.records import NetRecord


class Sound(Classifier):
    """A classifier of two stages, with the faults that are asked for."""

    def __init__(self, classes: int = 10, in_channels: int = 3, *, fault: str = "") -> None:
        convolve: list[nn.Module] = [nn.Conv2d(in_channels, 4, 3), nn.ReLU()]
        pool: list[nn.Module] = [nn.Conv2d(4, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        more = {"pool": pool, "convolve": convolve}[fault] if fault in ("pool", "convolve") else []
        more += [Drop()] if more else []
        trunk = Trunk({"c1": nn.Sequential(*convolve), "c2": nn.Sequential(*pool)}, in_channels=in_channels)
        super().__init__(trunk, nn.Linear(6, classes + (fault == "classes")), classes=classes)
        self.fault = fault
        if fault == "unused":
            self.spare = nn.Linear(2, 2)
        self.register_buffer("kept", torch.ones(()), persistent=fault != "buffer")

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (1 if self.fault == "unkept" else self.kept)  # type: ignore[no-any-return]


class Drop(nn.Module):
    """Dropout that goes on in evaluation mode."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x, 0.5, training=True)


NET = NetRecord(name="sound", builder=Sound, image_size=12, smallest=5)


def faulty(fault: str) -> NetRecord:
    return dataclasses.replace(NET, arguments={"fault": fault})


def test_a_sound_network_passes_unregistered_and_by_name() -> None:
    check_net(NET)
    check_net("lenet5")
    with pytest.raises(UserError, match="unknown network 'lenet'"):
        check_net("lenet")


class Plain(nn.Module):
    """A user's own module."""

    def __init__(self, width: int = 2, *, unused: bool = False) -> None:
        super().__init__()
        self.width, self.unused = width, unused
        self.layers = nn.Sequential(nn.Conv2d(3, width, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.spare = nn.Linear(2, 2) if unused else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)  # type: ignore[no-any-return]


def test_a_module_is_checked_as_training_takes_it() -> None:
    check_net(Plain)
    check_net(Plain(5))
    with pytest.raises(AssertionError, match=r"Plain: no gradient reaches trunk\.module\.spare\.weight"):
        check_net(Plain(unused=True))


@pytest.mark.parametrize(
    ("net", "told"),
    [
        (
            faulty("classes"),
            r"for inputs of \(2, 3, 5, 5\) it gives \(2, 8\), not \(2, 7\)|gives \(2, 8\), not \(2, 7\)",
        ),
        (faulty("unused"), "no gradient reaches spare.weight, spare.bias: forward does not use it"),
        (faulty("buffer"), "kept is not saved: register_buffer"),
        (faulty("pool"), "in evaluation mode it gives another logits each time"),
        (dataclasses.replace(NET, smallest=7), "it takes inputs smaller than 7"),
        (dataclasses.replace(NET, parameters=3), "it has .* parameters, and the record 3"),
    ],
)
def test_a_fault_of_a_network_is_told(net: NetRecord, told: str) -> None:
    with pytest.raises(AssertionError, match=f"the network sound: .*({told})"):
        check_net(net)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "sorting"}, "the task sorting: its class is called 'classification'"),
        ({"contract": "detector"}, "the task classification: its class learns 'classifier', not 'detector'"),
        ({"fields": ("smooth",)}, "the task classification: a recipe has no smooth"),
        ({"subject": "svertka.errors:UserError"}, "its subject is no Subject"),
        ({"learnt": "svertka.errors:UserError.with_traceback", "suits": lambda labels: not labels}, "it does not suit"),
    ],
)
def test_a_fault_of_a_task_is_told(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        check_task(dataclasses.replace(record("classification"), **changes), ["a", "b"])


class Batches(Sampler):
    """Two batches of four, with the faults that are asked for."""

    drawn = np.random.default_rng(0)

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def __len__(self) -> int:
        return 3 if self.fault == "length" else 2

    def size(self, number: int) -> int:
        del number
        return 5 if self.fault == "size" else 4

    def batches(self, epoch: int) -> list[np.ndarray]:
        rows = np.random.default_rng(epoch).permutation(64)[:8].reshape(2, 4)
        if self.fault == "restless":
            rows = self.drawn.permutation(64)[:8].reshape(2, 4)
        return list(rows + 64 * (self.fault == "unknown"))


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("restless", "its sampler makes other batches of the same seed and epoch each time"),
        ("unknown", "batch 0 of its sampler has samples that there are not"),
        ("length", "of its sampler's 3 batches an epoch, epoch 0 has 2"),
        ("size", "batch 0 of its sampler has 4 samples, and its size is 5"),
    ],
)
def test_a_fault_of_a_sampler_is_told(fault: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def batches_of(fault: str) -> None:
        monkeypatch.setattr(Classification, "sampler", lambda *_, **__: Batches(fault))

    batches_of("")
    check_task("classification", ["a", "b"])
    batches_of(fault)
    with pytest.raises(AssertionError, match=f"the task classification: {told}"):
        check_task("classification", ["a", "b"])


def test_what_a_record_names_and_is_not_there_is_told() -> None:
    with pytest.raises(UserError, match=r"names 'svertka\.tasks:Nothing\.opened', and there is no such thing"):
        check_task(dataclasses.replace(record("classification"), opened="svertka.tasks:Nothing.opened"))
    with pytest.raises(UserError, match="unknown task 'sorting'"):
        check_task("sorting")


@dataclasses.dataclass(frozen=True)
class Restless:
    """An image that is another each time."""

    counter: Any = dataclasses.field(default_factory=itertools.count, compare=False)

    def stamp(self) -> str:
        return ""

    def load(self) -> tuple[np.ndarray, str]:
        return np.full((2, 2, 3), next(self.counter), np.uint8), ""


def reader(read: Callable[[Path], Dataset], fits: Callable[[Path], bool] = lambda path: path.name == "own") -> Format:
    return Format("own", "a format of our own", fits, read)


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (reader(FOLDERS.read, lambda path: path.name != "own"), "it does not fit a data set of its own"),
        (reader(FOLDERS.read, lambda _: True), "it fits empty, which is no data set"),
        (reader(lambda path: Dataset(path, "", {})), "it gives no samples"),
        (reader(lambda path: Dataset(path, "", {}, skipped=[Skipped("a", "b")])), "without a fault, a is skipped"),
        (
            reader(lambda path: Dataset(path, "", {"all": [Sample("a", Restless(), "cat")]})),
            "as something else each time",
        ),
        (
            reader(
                lambda path: dataclasses.replace(FOLDERS.read(path), parts={"rest": FOLDERS.read(path).parts["all"]})
            ),
            "it gives the part 'rest', and not train, val, test or all",
        ),
        (
            reader(lambda path: FOLDERS.read(path) if path.name == "own" else Dataset(path, "", {})),
            "it reads empty, which is no data set, without a UserError",
        ),
    ],
)
def test_a_fault_of_a_reader_is_told(broken: Format, told: str, tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "own" / name).mkdir(parents=True)
        Image.new("RGB", (4, 4), (name == "cat" and "red") or "blue").save(tmp_path / "own" / name / "1.png")
    with pytest.raises(AssertionError, match=f"the format own: .*{told}"):
        check_reader(broken, tmp_path / "own")
    check_reader(reader(FOLDERS.read), tmp_path / "own")
