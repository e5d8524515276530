"""Boxes from folder to prediction: trained, judged, exported, predicted; from weights; resumed with the same bits."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from svertka.data.readers.reading import open_dataset
from svertka.data.samples import flat
from svertka.zoo.modelfile import load_model

NET = ("--net", "ssd", "--trunk", "resnet8_cifar", "--image-size", 64)
SLIM = (
    *("--net", "yolo_v1", "--net-options.width", 16, "--net-options.hidden", 32),
    *("--trunk", "resnet8_cifar", "--image-size", 64),
)
"""Of 0.2 million parameters, for what needs not be learnt well."""
QUICK = ("--epochs", 2, "--batch", 4)
ENGINE = ("--engine", "pytorch")


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of bright discs and squares on dark ground, of several sizes, with a CSV of boxes; some show none."""
    folder = tmp_path_factory.mktemp("data") / "shapes"
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = ["file,label,left,top,right,bottom,split"]
    for part, count in (("train", 48), ("val", 8), ("test", 12)):
        for number in range(count):
            height, width = (int(side) for side in rng.integers(70, 100, 2))
            rows, columns = np.indices((height, width))
            image = rng.integers(0, 60, (height, width, 3))
            name, there = f"{part}{number}.png", []
            for kind, label in enumerate(("disc", "square")):
                if number % 6 == 5:
                    continue
                radius = int(rng.integers(9, 16))
                y, x = int(rng.integers(radius, height - radius)), int(rng.integers(radius, width - radius))
                apart = np.stack([abs(rows - y), abs(columns - x)])
                mask = (np.hypot(*apart) if kind == 0 else apart.max(axis=0)) < radius
                image[mask] = ((200, 120, 40), (40, 120, 220))[kind]
                there.append(f"{name},{label},{x - radius},{y - radius},{x + radius},{y + radius},{part}")
            lines += there or [f"{name},,,,,,{part}"]
            Image.fromarray(image.astype(np.uint8)).save(folder / name)
    (folder / "boxes.csv").write_text("\n".join(lines))
    return folder / "boxes.csv"


@pytest.fixture(scope="session")
def few_shapes(shapes: Path) -> Path:
    """The first of them, of every part, for what needs not be learnt well."""
    few = {"train": 16, "val": 6, "test": 6}
    names = {f"{part}{number}.png" for part, count in few.items() for number in range(count)}
    head, *lines = shapes.read_text().splitlines()
    listed = shapes.with_name("few.csv")
    listed.write_text("\n".join([head, *(line for line in lines if line.partition(",")[0] in names)]))
    return listed


@pytest.fixture(scope="session")
def boxes_run(
    shapes: Path, tmp_path_factory: pytest.TempPathFactory, plain: tuple[str, ...], svertka_call: Callable[..., Any]
) -> tuple[Path, Any]:
    run = tmp_path_factory.mktemp("runs") / "shapes"
    answer = svertka_call("train", shapes, *NET, "--epochs", 10, "--lr", 0.003, "--out", run, *plain, "--json")
    assert answer.status == 0, answer.err
    return run, answer.json


@pytest.fixture(scope="session")
def boxes_exported(boxes_run: tuple[Path, Any], svertka_call: Callable[..., Any]) -> Path:
    answer = svertka_call("export", boxes_run[0], "--json")
    assert answer.status == 0, answer.err
    return Path(answer.json["model"])


def test_it_learns_boxes(boxes_run: tuple[Path, Any]) -> None:
    run, told = boxes_run
    assert told["judged_on"] == "test"
    assert told["metrics"]["map50"] > 0.5
    assert told["metrics"]["map50"] >= told["metrics"]["map"] > 0.1
    report = (run / "report.html").read_text()
    for words in ("Class by class", "What is wrong", "Precision by recall", "image, truth, prediction"):
        assert words in report


def test_it_is_judged_as_training_judged_it(
    boxes_run: tuple[Path, Any], shapes: Path, svertka_call: Callable[..., Any]
) -> None:
    run, told = boxes_run
    answer = svertka_call("evaluate", run, shapes, "--json")
    assert answer.status == 0, answer.err
    for name in ("map50", "map"):
        assert answer.json["metrics"][name] == pytest.approx(told["metrics"][name], abs=1e-6)
    assert [row["class"] for row in answer.json["per_class"]] == ["disc", "square"]
    said = svertka_call("evaluate", run, shapes)
    assert said.status == 0
    assert "badly placed" in said.out


def test_every_engine_finds_the_same(
    boxes_run: tuple[Path, Any],
    boxes_exported: Path,
    shapes: Path,
    svertka_call: Callable[..., Any],
    tmp_path: Path,
) -> None:
    run, exported = boxes_run[0], boxes_exported
    verified = svertka_call("verify", run, "--json")
    assert verified.json["ok"], verified.out
    pictures = sorted(shapes.parent.glob("test*.png"))
    here, there = (svertka_call("predict", model, *pictures, "--json").json for model in (run, exported))
    assert sum(len(one["objects"]) for one in here) > 8
    for one, other in zip(here, there, strict=True):
        assert [found["name"] for found in one["objects"]] == [found["name"] for found in other["objects"]]
        for mine, theirs in zip(one["objects"], other["objects"], strict=True):
            for side in ("left", "top", "right", "bottom"):
                assert mine[side] == pytest.approx(theirs[side], abs=0.1)
    (told,) = svertka_call("predict", run, pictures[0], "--out", tmp_path / "out", "--json").json
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"test0.json", "test0-drawn.png"}
    assert json.loads((tmp_path / "out" / "test0.json").read_text()) == told


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


def test_boxes_are_found_without_torch(boxes_exported: Path, shapes: Path) -> None:
    image = shapes.parent / "test0.png"
    program = (
        "import sys; sys.modules['torch'] = None; import svertka; "
        f"[found] = svertka.predict({str(boxes_exported)!r}, [{str(image)!r}]); print(found.line())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ})
    assert done.returncode == 0, done.stderr
    assert "test0.png: " in done.stdout


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
    assert svertka_call("verify", run, "--json").json["ok"]
    assert answer.json["metrics"]["map50"] == pytest.approx(
        svertka_call("evaluate", run, few_shapes, "--json").json["metrics"]["map50"], abs=1e-6
    )


def test_machines_are_fitted_to_what_a_trunk_makes_of_regions(
    few_shapes: Path,
    weights: Path,
    plain: tuple[str, ...],
    svertka_call: Callable[..., Any],
    tmp_path: Path,
) -> None:
    flags = ("--net", "rcnn", "--image-size", 64, "--net-options.crop", 16, "--engine", "pytorch", *plain, "--json")
    answer = svertka_call("train", few_shapes, *flags, "--out", tmp_path / "run")
    assert answer.status == 2
    assert "--weights" in answer.err
    answer = svertka_call("train", few_shapes, *flags, "--weights", weights, "--out", tmp_path / "run")
    assert answer.status == 0, answer.err
    assert answer.json["metrics"]["map50"] > 0.1
    before, after = load_model(weights)[0], load_model(tmp_path / "run" / "model.safetensors")[0]
    assert before.trunk.digests() == after.trunk.digests()
    evaluated = svertka_call("evaluate", tmp_path / "run", few_shapes, "--json").json["metrics"]["map50"]
    assert answer.json["metrics"]["map50"] == pytest.approx(evaluated, abs=1e-6)
    assert svertka_call("verify", tmp_path / "run", "--json").json["ok"]
    again = svertka_call("train", few_shapes, *flags, "--weights", weights, "--out", tmp_path / "again")
    one, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("run", "again"))
    assert again.status == 0, again.err
    assert one == other  # by what was remembered


@pytest.mark.parametrize("net", ["fast_rcnn", "rcnn"])
def test_regions_are_proposed_without_torch(
    net: str, few_shapes: Path, weights: Path, plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    small = ("--net-options.crop", 16, *ENGINE) if net == "rcnn" else ("--epochs", 1)
    flags = ("--net", net, "--weights", weights, "--image-size", 64, *small, *plain)
    answer = svertka_call("train", few_shapes, *flags, "--out", tmp_path / "run", "--json")
    assert answer.status == 0, answer.err
    exported = svertka_call("export", tmp_path / "run", "--json").json["model"]
    program = (
        "import sys; sys.modules['torch'] = sys.modules['skimage'] = sys.modules['scipy'] = None; import svertka; "
        f"[found] = svertka.predict({exported!r}, [{str(few_shapes.parent / 'test0.png')!r}]); print(found.to_json())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ})
    assert done.returncode == 0, done.stderr
    (told,) = svertka_call("predict", tmp_path / "run", few_shapes.parent / "test0.png", "--json").json
    assert done.stdout.count("'score'") == len(told["objects"])


@pytest.mark.parametrize("flags", [NET, ("--net", "yolo_v2", "--freeze", "all", "--image-size", 64)])
def test_a_run_that_is_cut_ends_with_the_same_bits(
    flags: tuple[object, ...],
    few_shapes: Path,
    weights: Path,
    plain: tuple[str, ...],
    svertka_call: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from svertka.workflows.progress import Display

    if "--trunk" not in flags:
        flags = (*flags, "--weights", weights, *ENGINE)
    command = ("train", few_shapes, *flags, *QUICK, "--save-every", 0, *plain, "--json")
    assert svertka_call(*command, "--out", tmp_path / "through").status == 0
    steps = iter(range(100))
    with monkeypatch.context() as patch:
        patch.setattr(Display, "stopping", lambda _: next(steps) == 5)
        assert svertka_call(*command, "--out", tmp_path / "cut").status == 2
    answer = svertka_call(*command, "--out", tmp_path / "cut", "--resume")
    assert answer.status == 0, answer.err
    one, other = ((tmp_path / place / "model.safetensors").read_bytes() for place in ("through", "cut"))
    assert one == other


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
    found = svertka_call("train", few_shapes, *NET, *plain, "--find-lr", "--json")
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


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("export", "--data"), "exported in fp32 alone"),
        (("export", "--pixels"), "exported in fp32 alone"),
        (("prune", "--out"), "can be pruned"),
    ],
)
def test_what_boxes_cannot_have_yet_is_said_in_a_line(
    command: tuple[str, str],
    said: str,
    boxes_run: tuple[Path, Any],
    shapes: Path,
    svertka_call: Callable[..., Any],
    tmp_path: Path,
) -> None:
    verb, flag = command
    given = {"--data": (flag, shapes), "--pixels": (flag,), "--out": (shapes, flag, tmp_path / "out")}[flag]
    answer = svertka_call(verb, boxes_run[0], *given)
    assert answer.status == 2
    assert said in answer.err


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
