"""A module, a task, a data set of the user's own, given in the place of a name."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset, IterableDataset, Subset

import svertka
from svertka import plugins
from svertka.errors import UserError
from svertka.tasks.classification import Classification
from svertka.tasks.task import Task
from svertka.zoo.modelfile import load_model, read_card

QUICK: dict[str, Any] = {
    "epochs": 3,
    "batch": 8,
    "augment": "none",
    "image_size": 8,
    "device": "cpu",
    "threads": 1,
    "precision": "fp32",
    "layout": "channels_first",
    "progress": False,
}


class Small(nn.Module):
    """A module that keeps what it was given."""

    interrupt = 0  # forward passes until the run is told to stop

    def __init__(self, classes: int = 2, in_channels: int = 3, width: int = 4) -> None:
        super().__init__()
        self.classes, self.in_channels, self.width = classes, in_channels, width
        self.convolve = nn.Conv2d(in_channels, width, 3)
        self.head = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        Small.interrupt -= 1
        if Small.interrupt == 0 and self.training:
            signal.raise_signal(signal.SIGINT)
        logits: Tensor = self.head(self.convolve(images).relu().mean((2, 3)))
        return logits


class Fixed(nn.Module):
    """A module that has no say in the number of classes."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, images: Tensor, scale: float = 1.0) -> Tensor:
        logits: Tensor = self.layers(images) * scale
        return logits


class Needy(Fixed):
    """Its forward needs what nobody gives."""

    def forward(self, images: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
        return self.layers(images * mask)  # type: ignore[no-any-return]


class Wide(Fixed):
    """Its kernel is wider than the images."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 2, 9), nn.AdaptiveAvgPool2d(1), nn.Flatten())


class Maps(Fixed):
    """It gives maps, and no logits."""

    def forward(self, images: Tensor, scale: float = 1.0) -> Tensor:
        return images * scale


class Forgetful(nn.Module):
    """It keeps nothing of what it was given."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, width, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits


class Guessing(Forgetful):
    """It keeps something else than it was given."""

    def __init__(self, width: int = 3) -> None:
        super().__init__(width)
        self.width = 5


class Odd(Forgetful):
    """It was given what no file can hold."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__(2)
        self.layer = layer


class Unkept(Fixed):
    """It does not keep for how many classes it is."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.layers[0] = nn.Conv2d(3, classes, 3)


class Tied(nn.Module):
    """One layer of it is used at two places."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 3, padding=1)
        self.second = self.first
        self.head = nn.Linear(3, 2)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.second(self.first(images).relu()).mean((2, 3)))
        return logits


class Moody(Fixed):
    """What it computes depends on what it is given."""

    def forward(self, images: Tensor, scale: float = 1.0) -> Tensor:
        return super().forward(-images if images.mean() > 0 else images, scale)


class Items(Dataset[Any]):
    """Images whose redness says the class."""

    classes = ("blue", "red")

    def __init__(self, count: int = 40) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> tuple[Any, Any]:
        image = np.random.default_rng(number).integers(0, 60, (8, 8, 3), np.uint8)
        image[..., 2 - 2 * (number % 2)] += 150
        return image, number % 2


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "_state", plugins._State())
    monkeypatch.setattr(Small, "interrupt", 0)


def train(out: Path, data: Any = None, **more: Any) -> Any:
    return svertka.train(Items() if data is None else data, out=out, **{**QUICK, **more})


def test_a_module_is_trained_from_its_weights_saved_and_opened_where_it_is_registered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = Small(width=6)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    run = train(tmp_path / "run", net=net, lr=1e-12)
    loaded, card = load_model(run.model)
    assert card.net == f"{__name__}.Small"
    assert card.arguments == {"width": 6, "classes": 2, "in_channels": 3}
    assert card.classes == ("blue", "red")
    for name, value in before.items():
        torch.testing.assert_close(loaded.state_dict()[f"trunk.module.{name}"], value)
        assert torch.equal(net.state_dict()[name], value)  # it is not the user's own that is trained

    monkeypatch.setattr(plugins, "_state", plugins._State())  # as in another process
    with pytest.raises(UserError) as caught:
        load_model(run.model)
    told = str(caught.value)
    assert (
        f"its card names what is not installed here: unknown network '{__name__}.Small'; it is somebody's own" in told
    )
    assert told.endswith(f"import Small from {__name__} and give it to svertka.register")
    svertka.register(Small)
    again, _ = load_model(run.model)
    assert torch.equal(again.trunk.module.head.weight, loaded.trunk.module.head.weight)


def test_a_run_that_is_interrupted_goes_on_by_the_same_call(tmp_path: Path) -> None:
    straight = train(tmp_path / "straight", net=Small).model.read_bytes()
    Small.interrupt = 12
    with pytest.raises(UserError, match=r"interrupted in .*; call svertka\.train with the same data again, out="):
        train(tmp_path / "run", net=Small)
    assert train(tmp_path / "run", net=Small, resume=True).model.read_bytes() == straight


@pytest.mark.parametrize(
    ("net", "told"),
    [
        (Needy(), "the forward of .*Needy needs mask beside images, and is given images alone"),
        (Maps, r"of two images .*Maps gives a tensor \(2, 3, 8, 8\), and a classifier gives logits"),
        (Forgetful, "Forgetful cannot be built without width; give an instance"),
        (Forgetful(2), "does not keep its constructor's argument 'width': .*; write self.width = width"),
        (
            Guessing(),
            "Guessing, built again by the arguments that it keeps, is another network: layers.0.wei",
        ),
        (Unkept(), "does not keep its constructor's argument 'classes': .*; write self.classes = classes"),
        (Odd(nn.ReLU()), "the argument 'layer' of .*Odd is ReLU, which a model file cannot hold"),
        (Wide, r"Wide cannot take images \(2, 3, 8, 8\): .*; give image_size= or channels="),
        (nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), "Sequential, built again .*, in a class of your own"),
        (3, "net is int; give the name of a network, a torch.nn.Module or a class of one"),
        (Small(classes=3), "it is an instance for 3 classes, not 2"),
        (Forgetful, "cannot be built without width"),
    ],
    ids=str,
)
def test_a_module_that_does_not_keep_the_contract(net: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=told) as caught:
        train(tmp_path / "run", net=net)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_layer_that_is_used_twice_is_one(tmp_path: Path) -> None:
    run = train(tmp_path / "run", net=Tied)
    loaded, _ = load_model(run.model)
    weights = loaded.state_dict()
    assert torch.equal(weights["trunk.module.first.weight"], weights["trunk.module.second.weight"])
    assert max(engine.max_abs_diff for engine in svertka.verify(run.run).engines) < 1e-4


def test_a_module_that_takes_other_steps_each_time_is_not_exported(tmp_path: Path) -> None:
    run = train(tmp_path / "run", net=Moody)
    with pytest.raises(
        UserError, match=r"Moody cannot be exported: .*; its forward must take the same steps"
    ) as caught:
        svertka.export(run.run, out=tmp_path / "model.onnx")
    assert "\n" not in str(caught.value)


def test_a_model_is_evaluated_on_what_it_learnt_from_in_memory(tmp_path: Path) -> None:
    run = train(tmp_path / "run", net=Small)
    found = svertka.evaluate(run.run, Items(), progress=False)
    assert (found.judged_on, found.metrics) == ("val", pytest.approx(run.metrics))
    for command in (svertka.check, svertka.compare):
        with pytest.raises(UserError, match="Items is no path; give a folder or a file; train and evaluate take data"):
            command(Items())


def test_a_fixed_number_of_classes_has_to_be_that_of_the_data(tmp_path: Path) -> None:
    assert train(tmp_path / "two", net=Fixed).model.exists()
    assert train(tmp_path / "options", net=Fixed()).model.exists()
    with pytest.raises(UserError, match="it gives 2 classes, not 3"):
        train(tmp_path / "three", Subset(Numbers(), range(30)), net=Fixed)


class Numbers(Items):
    """Targets are numbers that nothing names."""

    classes = ()  # type: ignore[assignment]

    def __getitem__(self, number: int) -> tuple[Any, Any]:
        return super().__getitem__(number)[0], torch.tensor(number % 3)


class Sure(Classification):
    """A task of the user's own: wrong answers count double."""

    name = "sure"

    def losses(self, output: Tensor, targets: Tensor) -> dict[str, Tensor]:
        return {name: 2 * loss for name, loss in super().losses(output, targets).items()}


@pytest.mark.parametrize("task", [Sure, Sure(("blue", "red"))], ids=["class", "instance"])
def test_a_task_is_given(task: Any, tmp_path: Path) -> None:
    run = train(tmp_path / "run", net=Small, task=task)
    assert read_card(run.model).task == "sure"
    assert svertka.verify(run.model).ok
    assert train(tmp_path / "run", net=Small, task=task, resume=True).model == run.model


def test_a_task_that_cannot_be_given(tmp_path: Path) -> None:
    class Other(Classification):
        pass

    for task, told in (
        (3, "task is int; give the name of a task"),
        (Other, "Other has the name of the task 'classification'; give it a name of its own"),
        (Task, "Task is no kind of a task that is registered; give a TaskRecord"),
        (Sure(("a", "b")), "the task is for the classes a, b, and the data have blue, red"),
    ):
        with pytest.raises(UserError, match=told):
            train(tmp_path / "run", net=Small, task=task)


def as_item(image: Any, target: Any = 0) -> Dataset[Any]:
    class One(Items):
        def __getitem__(self, number: int) -> tuple[Any, Any]:
            return image, target

    return One(1)


RED = np.dstack([np.full((2, 3), value, np.uint8) for value in (200, 0, 0)])


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (RED, RED),
        (Image.fromarray(RED), RED),
        (torch.from_numpy(RED).permute(2, 0, 1), RED),
        (torch.from_numpy(RED).permute(2, 0, 1) / 255, RED),
        (RED[:, :, 0], RED[:, :, [0, 0, 0]]),
        (torch.from_numpy(RED).permute(2, 0, 1)[:1], RED[:, :, [0, 0, 0]]),
        (Image.fromarray(RED[:, :, 0]), RED[:, :, [0, 0, 0]]),
    ],
    ids=["array", "picture", "tensor", "fractions", "grey array", "grey tensor", "grey picture"],
)
def test_every_way_to_hold_an_image(image: Any, expected: np.ndarray) -> None:
    dataset = svertka.open_dataset(as_item(image))
    (sample,) = dataset.parts["all"]
    found, digest = sample.source.load()
    assert np.array_equal(found, expected)
    assert digest in sample.source.stamp()
    assert sample.annotation == "blue"
    assert svertka.open_dataset(dataset) is dataset


def called(classes: Any) -> Items:
    """Items whose classes have these names."""

    class Called(Items):
        pass

    Called.classes = classes
    return Called()


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter([(RED, 0)])


@pytest.mark.parametrize(
    ("item", "told"),
    [
        (
            as_item(torch.zeros(3, 2, 2) - 1),
            "image of item 0 has values from -1 to -1; give it between 0 and 1",
        ),
        (as_item(torch.full((3, 2, 2), float("nan"))), "has values from nan to nan"),
        (as_item(np.zeros((2, 2, 3))), "the image of item 0 is of float64; give uint8"),
        (as_item(np.zeros((2, 2, 4), np.uint8)), r"the image of item 0 is ndarray \(2, 2, 4\); give a PIL image"),
        (as_item(np.zeros((0, 2, 3), np.uint8)), "item 0 is an image of 2×0 pixels"),
        (as_item(torch.zeros(1).expand(3, 9000, 9000)), "item 0 is an image of 9000×9000 pixels"),
        (as_item("file.png"), "the image of item 0 is str"),
        (as_item(Image.new("I;16", (2, 2))), r"the image of item 0 has numbers of more than eight bits \(mode I;16\)"),
        (called("ab"), "the attribute classes of Called is ab; make it a list of the classes' names"),
        (called({"a": 0}), "the attribute classes of Called is {'a': 0}; make it a list"),
        (called(("a", "a")), "the attribute classes of Called names 'a' twice; give each class a name of its own"),
        (called(("a", " ")), "the attribute classes of Called has an empty name"),
        (as_item(RED, 2), "the target of item 0 is 2, of 2 classes"),
        (as_item(RED, 0.5), "the target of item 0 is float; give the number of a class, or its name"),
        (Items(0), "Items has 0 items; give at least one"),
        (Items(1 << 40), "Items has 1,099,511,627,776 items"),
        (Stream(), "Stream has no length; give a data set with __len__"),
        ([3], "item 0 of the data set is int; give image and target"),
        (3, "int is no data set; give a path, or a torch data set"),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)
def test_a_data_set_that_cannot_be_read(item: Any, told: str) -> None:
    with pytest.raises(UserError, match=told):
        svertka.open_dataset(item)


def test_an_item_that_is_another_each_time_is_told() -> None:
    class Restless(Items):
        def __getitem__(self, number: int) -> tuple[Any, Any]:
            self.count += 1
            return np.full((2, 2, 3), self.count % 200, np.uint8), 0

    (sample, *_) = svertka.open_dataset(Restless(3)).parts["all"]
    with pytest.raises(UserError, match="item 0 is another image each time; leave random transforms out"):
        sample.source.load()


def test_a_path_is_opened_as_by_the_commands(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.fromarray(RED).save(tmp_path / name / "1.png")
    assert svertka.open_dataset(str(tmp_path)).class_list() == ("cat", "dog")
    with pytest.raises(UserError, match="a format is insisted on, and the data are in memory"):
        svertka.open_dataset(Items(), "voc")
