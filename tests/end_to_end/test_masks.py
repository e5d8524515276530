"""What is peculiar to masks: large photographs, frozen stages that are remembered or not, what does not suit them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from svertka.zoo.modelfile import load_model

QUICK = ("--epochs", 2, "--batch", 4)
ENGINE = ("--engine", "pytorch")


@pytest.fixture(scope="session")
def discs(task_data: Callable[[str], Path]) -> Path:
    """Photographs of bright discs and squares, with masks; not to be changed."""
    return task_data("segmentation")


@pytest.fixture(scope="session")
def masks_run(task_run: Callable[[str], Any]) -> Path:
    """The folder of a run that learnt them."""
    run: Path = task_run("segmentation")[0]
    return run


def test_masks_of_a_large_photograph_are_found_piece_by_piece_in_every_engine(
    masks_run: Path,
    task_graph: Callable[[str], Path],
    discs: Path,
    svertka_call: Callable[..., Any],
    tmp_path: Path,
) -> None:
    large = np.tile(np.asarray(Image.open(discs / "test" / "images" / "0.png")), (20, 20, 1))[:701, :333]
    Image.fromarray(large).save(tmp_path / "large.png")
    pictures = (tmp_path / "large.png", discs / "test" / "images")
    for model, place in ((masks_run, "torch"), (task_graph("segmentation"), "onnx")):
        answer = svertka_call("predict", model, *pictures, "--out", tmp_path / place, "--json")
        assert answer.status == 0, answer.err
    for path in (tmp_path / "torch").glob("*-mask.png"):
        one, other = (np.asarray(Image.open(tmp_path / place / path.name)) for place in ("torch", "onnx"))
        assert np.mean(one == other) > 0.999


def test_what_is_said_of_a_mask_is_what_is_drawn(
    masks_run: Path, discs: Path, svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    picture = discs / "test" / "images" / "1.png"
    (told,) = svertka_call("predict", masks_run, picture, "--out", tmp_path, "--json").json
    numbers = np.asarray(Image.open(tmp_path / "1-mask.png"))
    assert numbers.shape == (told["height"], told["width"]) == np.asarray(Image.open(picture)).shape[:2]
    for found in told["classes"]:
        number = ["background", "disc", "square"].index(found["name"])
        assert found["area"] == (numbers == number).sum()
        assert bool(found["polygons"]) == (number > 0)


@pytest.mark.parametrize("freeze", ["none", "all", "group2"])
def test_masks_are_learnt_from_the_trunk_of_a_classifier(
    freeze: str,
    discs: Path,
    weights: Path,
    plain: tuple[str, ...],
    svertka_call: Callable[..., Any],
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    flags = ("--net", "unet", "--weights", weights, "--freeze", freeze, "--out", run, "--image-size", 32)
    before, _ = load_model(weights)
    names = before.trunk.names
    if freeze not in ("none", "all"):
        flags = (*flags[:5], names[1], *flags[6:])
    if freeze != "none":
        flags = (*flags, *ENGINE, "--views", "identity", "flip")
    answer = svertka_call("train", discs, *flags, *QUICK, *plain, "--json")
    assert answer.status == 0, answer.err
    after, card = load_model(run / "model.safetensors")
    depth = {"none": 0, "all": len(names)}.get(freeze, 2)
    for number, name in enumerate(names):
        assert (before.trunk.digests()[name] == after.trunk.digests()[name]) == (number < depth)
    assert card.input.fit == "whole"
    assert card.input.mean == (0.4, 0.5, 0.6)
    assert card.licence == "CC0-1.0"
    if freeze == "group2":  # the graph is the same in the others
        assert svertka_call("verify", run, "--json").json["ok"]
    assert answer.json["metrics"]["miou"] == pytest.approx(
        svertka_call("evaluate", run, discs, "--json").json["metrics"]["miou"], abs=1e-6
    )


def test_a_budget_is_spent_on_masks_too(
    discs: Path, weights: Path, svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    flags = ("--net", "unet", "--weights", weights, "--image-size", 32, "--batch", 4, "--budget", 12)
    answer = svertka_call("train", discs, *flags, "--out", run, "--threads", 1, "--json")
    assert answer.status == 0, answer.err
    tried = answer.json["tried"]
    assert tried
    assert sum(step["kept"] for step in tried) == 1
    assert 0 < answer.json["metrics"]["miou"] <= 1  # how much is learnt in 12 s depends on who else wants the processor
    assert svertka_call("verify", run, "--json").json["ok"]


@pytest.mark.parametrize("why", ["no room", "no room within a budget", "no time"])
def test_frozen_stages_are_run_anew_where_they_cannot_be_remembered(
    why: str,
    discs: Path,
    weights: Path,
    plain: tuple[str, ...],
    svertka_call: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from svertka.training.budget import TooSlowError
    from svertka.workflows.training import budgeting as _budgeting
    from svertka.workflows.training import transfer as _transfer

    def late(*_: object) -> None:
        raise TooSlowError("planted")

    monkeypatch.setenv("SVERTKA_CACHE", str(tmp_path / "cache"))
    flags: tuple[object, ...] = ("--freeze", "all")
    if why == "no time":
        monkeypatch.setattr(_transfer, "Deadline", lambda _: SimpleNamespace(look=late))
    if why != "no room":
        flags = ("--budget", "20s")
        monkeypatch.setattr(_budgeting, "choose_phase", lambda *_: None)  # no time for more than what has to be
    run = tmp_path / "run"
    begin = ("--net", "unet", "--weights", weights, "--image-size", 32)
    command = ("train", discs, *begin, *flags, *QUICK, *ENGINE, *plain)
    if why != "no time":
        monkeypatch.setattr("svertka.workflows.training.frozen.room_bytes", lambda _: 1000)
    answer = svertka_call(*command, "--out", run)
    assert answer.status == 0, answer.err
    plan = json.loads((run / "plan.json").read_text())
    if why == "no room within a budget":
        assert plan["depth"] == 0  # planned so: nothing is frozen
    else:
        assert plan["pixels"] is True
        assert "are run anew in every epoch: " in answer.err
    assert sum(file.stat().st_size for file in (tmp_path / "cache" / "memory").rglob("*.rows")) < 1_000_000
    # Resumed, it does what it has decided, though there is room now.
    model = (run / "model.safetensors").read_bytes()
    (run / "run.json").unlink()
    monkeypatch.setattr("svertka.workflows.training.frozen.room_bytes", lambda _: 1 << 40)
    answer = svertka_call(*command, "--out", run, "--resume")
    assert answer.status == 0, answer.err
    assert (run / "model.safetensors").read_bytes() == model


def test_a_head_has_no_place_on_a_network_of_masks(
    discs: Path, weights: Path, svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    answer = svertka_call(
        "train", discs, "--net", "unet", "--weights", weights, "--head", "svm", "--out", tmp_path / "run"
    )
    assert answer.status == 2
    assert "unet has no head that 'svm' could take the place of" in answer.err


def test_a_network_of_masks_goes_on_with_other_classes(
    masks_run: Path, discs: Path, plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    answer = svertka_call(
        "train",
        discs,
        "--weights",
        masks_run,
        "--out",
        tmp_path / "run",
        *QUICK,
        *ENGINE,
        "--freeze",
        "all",
        *plain,
        "--json",
    )
    assert answer.status == 0, answer.err
    assert answer.json["metrics"]["miou"] > 0.6


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--net", "lenet5"), ("the annotations are for segmentation", "unet")),
        (("--net", "unet", "--label-smoothing", 0.1), ("--label-smoothing",)),
        (("--net", "unet", "--loss", "square"), ("cross_entropy",)),
        (("--net", "unet_2015", "--trunk", "vgg16"), ("no other trunk",)),
    ],
)
def test_what_does_not_suit_masks_is_said_in_a_line(
    flags: tuple[object, ...],
    words: tuple[str, ...],
    discs: Path,
    svertka_call: Callable[..., Any],
    tmp_path: Path,
) -> None:
    answer = svertka_call("train", discs, *flags, "--out", tmp_path / "run", "--json")
    assert answer.status == 2
    assert answer.out == ""
    for word in words:
        assert word in answer.err


def test_a_network_of_masks_is_refused_for_classes(
    digits: Path, svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    answer = svertka_call("train", digits, "--net", "unet", "--out", tmp_path / "run", "--json")
    assert answer.status == 2
    assert "the annotations are for classification" in answer.err
