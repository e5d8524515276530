"""What is peculiar to boxes: their files, regions that are proposed, machines that look into them."""

from __future__ import annotations

import csv
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from svertka.data.readers.reading import open_dataset
from svertka.data.samples import flat
from svertka.zoo.modelfile import load_model
from task_cases import SLIM, SSD

QUICK = ("--epochs", 2, "--batch", 4)
ENGINE = ("--engine", "pytorch")


@pytest.fixture(scope="session")
def shapes(task_data: Callable[[str], Path]) -> Path:
    """Photographs of bright discs and squares, with a CSV of boxes; not to be changed."""
    return task_data("detection")


@pytest.fixture(scope="session")
def boxes_run(task_run: Callable[[str], tuple[Path, Any]]) -> tuple[Path, Any]:
    """The folder of a run that learnt them, and what training said."""
    run, answer = task_run("detection")
    return run, answer.json


@pytest.fixture(scope="session")
def few_shapes(shapes: Path) -> Path:
    """The first of them, of every part, for what needs not be learnt well."""
    few = {"train": 16, "val": 6, "test": 6}
    names = {f"{part}{number}.png" for part, count in few.items() for number in range(count)}
    head, *lines = shapes.read_text().splitlines()
    listed = shapes.with_name("few.csv")
    listed.write_text("\n".join([head, *(line for line in lines if line.partition(",")[0] in names)]))
    return listed


def test_what_is_wrong_is_said(boxes_run: tuple[Path, Any], shapes: Path, svertka_call: Callable[..., Any]) -> None:
    run, told = boxes_run
    assert told["metrics"]["map50"] >= told["metrics"]["map"] > 0.1
    assert "badly placed" in svertka_call("evaluate", run, shapes).out


def test_tables_of_boxes_hold_what_is_found(
    boxes_run: tuple[Path, Any], shapes: Path, svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    for image in shapes.parent.glob("test*.png"):
        shutil.copy(image, tmp_path)
    (tmp_path / "unreadable.png").write_bytes(b"?")
    ask = ("predict", boxes_run[0], *sorted(tmp_path.glob("*.png")))
    told = svertka_call(*ask, "--out", tmp_path / "found.csv", "--json").json
    with (tmp_path / "found.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["prediction"]]
    expected = [{"file": one["file"], **found} for one in told for found in one.get("objects", ())]
    assert [(row["file"], row["prediction"]) for row in rows] == [(one["file"], one["name"]) for one in expected]
    for row, one in zip(rows, expected, strict=True):
        for side in ("left", "top", "right", "bottom"):
            assert float(row[side]) == pytest.approx(one[side], abs=0.005)
    (tmp_path / "found.csv").unlink()
    (tmp_path / "unreadable.png").unlink()
    assert svertka_call(*ask[:-1], "--out", tmp_path / "found.coco.json").status == 0
    # Whoever reads COCO's files can read it, above all this program.
    _, samples = flat(open_dataset(tmp_path, "coco"))
    again = {sample.source.path: sample.annotation.boxes for sample in samples}
    for one in told[:-1]:
        assert [box.label for box in again[Path(one["file"])]] == [found["name"] for found in one["objects"]]


def test_a_model_of_classes_writes_no_boxes(tiny_onnx: Path, svertka_call: Callable[..., Any], tmp_path: Path) -> None:
    answer = svertka_call("predict", tiny_onnx, "photo.jpg", "--out", tmp_path / "found.coco.json")
    assert answer.status == 2
    assert "holds boxes" in answer.err


@pytest.mark.parametrize(
    ("net", "freeze"),
    [("ssd", "none"), ("yolo_v1", "group2"), ("yolo_v2", "all"), ("ssd", "group2"), ("fast_rcnn", "all")],
)
def test_boxes_are_learnt_from_the_trunk_of_a_classifier(
    net: str,
    freeze: str,
    few_shapes: Path,
    weights: Path,
    plain: tuple[str, ...],
    svertka_call: Callable[..., Any],
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    before, _ = load_model(weights)
    names = before.trunk.names
    flags = ("--net", net, "--weights", weights, "--out", run, "--image-size", 64)
    frozen = () if freeze == "none" else (*ENGINE, "--views", "identity", "flip")
    flags = (*flags, "--freeze", names[1] if freeze == "group2" else freeze, *frozen)
    answer = svertka_call("train", few_shapes, *flags, *QUICK, *plain, "--json")
    assert answer.status == 0, answer.err
    after, card = load_model(run / "model.safetensors")
    depth = {"none": 0, "all": len(names)}.get(freeze, 2)
    for number, name in enumerate(names):
        assert (before.trunk.digests()[name] == after.trunk.digests()[name]) == (number < depth)
    assert card.input.mean == (0.4, 0.5, 0.6)
    assert card.licence == "CC0-1.0"
    assert len(card.thresholds) == 2
    assert ("priors" in card.arguments) == (net == "yolo_v2")
    if net in ("yolo_v1", "yolo_v2"):  # others are verified elsewhere
        assert svertka_call("verify", run, "--json").json["ok"]
    assert answer.json["metrics"]["map50"] == pytest.approx(
        svertka_call("evaluate", run, few_shapes, "--json").json["metrics"]["map50"], abs=1e-6
    )


RCNN = ("--net", "rcnn", "--image-size", 64, "--net-options.crop", 16, *ENGINE)


@pytest.fixture(scope="module")
def regions_run(
    few_shapes: Path,
    weights: Path,
    plain: tuple[str, ...],
    svertka_call: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], tuple[Path, Any]]:
    """The folder of a run of a network that looks into regions, and what training said."""

    @functools.cache
    def trained(net: str) -> tuple[Path, Any]:
        run = tmp_path_factory.mktemp("regions") / net
        flags = RCNN if net == "rcnn" else ("--net", net, "--image-size", 64, "--epochs", 1)
        answer = svertka_call("train", few_shapes, *flags, "--weights", weights, "--out", run, *plain, "--json")
        assert answer.status == 0, answer.err
        return run, answer.json

    return trained


def test_machines_are_fitted_to_what_a_trunk_makes_of_regions(
    regions_run: Callable[[str], tuple[Path, Any]],
    few_shapes: Path,
    weights: Path,
    plain: tuple[str, ...],
    svertka_call: Callable[..., Any],
    tmp_path: Path,
) -> None:
    answer = svertka_call("train", few_shapes, *RCNN, *plain, "--out", tmp_path / "run")
    assert answer.status == 2
    assert "--weights" in answer.err
    run, told = regions_run("rcnn")
    assert told["metrics"]["map50"] > 0.1
    before, after = load_model(weights)[0], load_model(run / "model.safetensors")[0]
    assert before.trunk.digests() == after.trunk.digests()
    evaluated = svertka_call("evaluate", run, few_shapes, "--json").json["metrics"]["map50"]
    assert told["metrics"]["map50"] == pytest.approx(evaluated, abs=1e-6)
    again = svertka_call("train", few_shapes, *RCNN, *plain, "--weights", weights, "--out", tmp_path / "again")
    assert again.status == 0, again.err
    one, other = ((folder / "model.safetensors").read_bytes() for folder in (run, tmp_path / "again"))
    assert one == other  # by what was remembered


@pytest.mark.parametrize("net", ["fast_rcnn", "rcnn"])
def test_regions_are_proposed_without_torch(
    net: str,
    regions_run: Callable[[str], tuple[Path, Any]],
    few_shapes: Path,
    svertka_call: Callable[..., Any],
    tmp_path: Path,
) -> None:
    run = regions_run(net)[0]
    exported = tmp_path / "model.onnx"
    assert svertka_call("export", run, "--out", exported).status == 0
    assert svertka_call("verify", run, "--json").json["ok"]
    program = (
        "import sys; sys.modules['torch'] = sys.modules['skimage'] = sys.modules['scipy'] = None; import svertka; "
        f"[found] = svertka.predict({str(exported)!r}, [{str(few_shapes.parent / 'test0.png')!r}]); "
        "print(found.to_json())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ})
    assert done.returncode == 0, done.stderr
    (told,) = svertka_call("predict", run, few_shapes.parent / "test0.png", "--json").json
    assert done.stdout.count("'score'") == len(told["objects"])


def test_a_budget_is_spent_on_boxes(
    shapes: Path, weights: Path, svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    flags = ("--net", "ssd", "--weights", weights, "--image-size", 64, "--budget", 12)
    answer = svertka_call("train", shapes, *flags, "--out", run, "--threads", 1, "--json")
    assert answer.status == 0, answer.err
    tried = answer.json["tried"]
    assert sum(step["kept"] for step in tried) == 1
    assert svertka_call("verify", run, "--json").json["ok"]


def test_the_doctor_looks_at_boxes(
    boxes_run: tuple[Path, Any],
    few_shapes: Path,
    plain: tuple[str, ...],
    svertka_call: Callable[..., Any],
    tmp_path: Path,
) -> None:
    looked = svertka_call("diagnose", boxes_run[0], "--json")
    assert looked.status in (0, 1), looked.err
    wired = svertka_call("train", few_shapes, *SLIM, *plain, "--check-wiring", "--json")
    assert wired.status == 0, wired.err
    found = svertka_call("train", few_shapes, *SSD, *plain, "--find-lr", "--json")
    assert 1e-5 < found.json["lr"] < 1
    # What cannot learn is found out here too.
    flags = ("--epochs", 2, "--lr", 1e-9, "--out", tmp_path / "still")
    assert svertka_call("train", few_shapes, *SLIM, *plain, *flags, "--json").status in (0, 1)
    assert svertka_call("diagnose", tmp_path / "still", "--json").json["diagnoses"]


def test_a_network_of_boxes_goes_on_from_its_own_weights(
    boxes_run: tuple[Path, Any],
    shapes: Path,
    plain: tuple[str, ...],
    svertka_call: Callable[..., Any],
    tmp_path: Path,
) -> None:
    flags = ("--weights", boxes_run[0], "--out", tmp_path / "run", "--freeze", "all", "--lr", 1e-4)
    answer = svertka_call("train", shapes, *flags, *ENGINE, *QUICK, *plain, "--json")
    assert answer.status == 0, answer.err
    assert answer.json["metrics"]["map50"] > 0.5


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--net", "lenet5"), ("the annotations are for detection", "ssd")),
        (("--net", "ssd", "--label-smoothing", 0.1), ("--label-smoothing",)),
        (("--net", "ssd", "--loss", "dice"), ("--loss",)),
        (("--net", "ssd", "--balance", "weights"), ("--balance",)),
    ],
)
def test_what_does_not_suit_boxes_is_said_in_a_line(
    flags: tuple[object, ...],
    words: tuple[str, ...],
    shapes: Path,
    svertka_call: Callable[..., Any],
    tmp_path: Path,
) -> None:
    answer = svertka_call("train", shapes, *flags, "--out", tmp_path / "run", "--json")
    assert answer.status == 2
    assert answer.out == ""
    for word in words:
        assert word in answer.err


@pytest.mark.parametrize("pixels", [False, True])
def test_boxes_are_exported_in_single_precision_alone(
    pixels: bool, boxes_run: tuple[Path, Any], shapes: Path, svertka_call: Callable[..., Any]
) -> None:
    answer = svertka_call("export", boxes_run[0], *(("--pixels",) if pixels else ("--data", shapes)))
    assert answer.status == 2
    assert "exported in fp32 alone" in answer.err


def test_a_box_is_explained_by_what_is_in_it(
    boxes_run: tuple[Path, Any], shapes: Path, svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    named = ("saliency", "guided_backpropagation", "grad_cam", "sanity", "pruning")
    methods = [word for name in named for word in ("--method", name)]
    answer = svertka_call(
        "explain", boxes_run[0], shapes, "--target", "disc", "--examples", 12, *methods, "--out", out, "--json"
    )
    assert answer.status == 0, answer.err
    told = answer.json
    assert {image["explained"] for image in told["images"]} == {"disc"}
    boxes = np.array([image["box"] for image in told["images"]])
    assert ((boxes >= 0) & (boxes <= 1)).all()
    middles = (boxes[:, [1, 0]] + boxes[:, [3, 2]]) / 2
    for name in ("saliency", "guided_backpropagation"):
        centres = np.array([found["centre"] for found in told["methods"][name]])
        # Nearer the box that is explained than the box of another image is.
        own = np.hypot(*(centres - middles).T)
        other = np.hypot(*(centres - np.roll(middles, 1, axis=0)).T)
        assert np.mean(own) < 0.7 * np.mean(other), name
    assert (out / "explain.html").is_file()
    assert "pruning" not in told["methods"]
    assert any("pruning" in note for note in told["notes"])
