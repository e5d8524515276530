"""``svertka check`` and cross-validation as a user gives them."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from svertka.annotations import Boxes, Mask
from svertka.data.readers.reading import open_dataset

RECIPE = ("--net", "perceptron", "--epochs", 2, "--batch", 16, "--device", "cpu", "--precision", "fp32")


@pytest.fixture
def faulty(few_digits: Path, tmp_path: Path) -> Path:
    """Digits with a copy in another class, a file that is no image, and a class spelt in two ways."""
    root = Path(shutil.copytree(few_digits, tmp_path / "faulty"))
    first = min((root / "3").iterdir())
    shutil.copy(first, root / "8" / "<script>alert(1)</script>.png".replace("/", ""))
    (root / "4" / "empty.png").write_bytes(b"")
    (root / "Seven").mkdir()
    (root / "seven").mkdir()
    for number, name in enumerate(("Seven", "seven", "seven")):
        Image.effect_noise((20, 20), 90 + number).save(root / name / f"{number}.png")
    return root


def test_findings_are_said_with_how_to_mend_them(faulty: Path, svertka_call: Callable[..., Any]) -> None:
    answer = svertka_call("check", faulty)
    assert answer.status == 1
    for words in (
        "error: 1 group of images with the same content, with different labels",
        "empty",
        "'Seven' / 'seven'",
    ):
        assert words in answer.out
    found = {item["kind"]: item for item in svertka_call("check", faulty, "--json").json["findings"]}
    assert found["empty_files"]["files"] == ["4/empty.png: an empty file"]
    assert found["similar_labels"]["severity"] == "error"


def test_the_page_is_whole_and_hostile_names_stay_text(
    faulty: Path, svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    svertka_call("check", faulty, "--out", tmp_path / "page")
    page = (tmp_path / "page" / "check.html").read_text()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert(1)" not in page
    assert "data:image/" in page


def test_a_cleaned_copy_has_nothing_to_mend(faulty: Path, svertka_call: Callable[..., Any], tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in faulty.rglob("*.png")}
    said = svertka_call("check", faulty, "--fix", tmp_path / "clean", "--json")
    assert said.status == 1
    assert {path: path.read_bytes() for path in faulty.rglob("*.png")} == before
    answer = svertka_call("check", tmp_path / "clean" / "labels.csv", "--json")
    kept = sum(answer.json["images"].values())
    assert said.json["fixed"] == {
        "path": str(tmp_path / "clean"),
        "images": kept,
        "left_out": len(before) - kept,
        "respelt": 1,
        "boxes": 0,
    }
    assert (answer.status, answer.json["ok"]) == (0, True)
    assert "Seven" not in answer.json["parts"]["all"]
    listed = tmp_path / "clean.csv"
    svertka_call("check", faulty, "--fix", listed)
    with listed.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(answer.json["images"].values()) == len(rows)
    assert svertka_call("check", faulty, "--fix", listed).status == 2  # nothing is overwritten


def test_boxes_are_mended(svertka_call: Callable[..., Any], tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for number in range(4):
        Image.effect_noise((100, 80), 60 + number).convert("RGB").save(data / f"{number}.jpg", quality=90)
    (data / "3.jpg").write_bytes(b"")
    sound, again = [10, 10, 30, 20], [40, 10, 30, 20]  # x, y, width, height
    told = {
        0: [(1, sound), (1, sound), (2, again)],
        1: [(1, [60, 40, -20, -10]), (1, [50, 50, 0, 9]), (1, [200, 10, 5, 5])],
        2: [(1, [-20, 10, 60, 90])],
        3: [(1, sound)],
    }
    boxes = [(image, *box) for image, several in told.items() for box in several]
    document = {
        "images": [{"id": number, "file_name": f"{number}.jpg", "width": 100, "height": 80} for number in told],
        "annotations": [
            {"id": place, "image_id": image, "category_id": label, "bbox": sides}
            for place, (image, label, sides) in enumerate(boxes)
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "Cat"}],
    }
    (data / "boxes.json").write_text(json.dumps(document))
    before = (data / "boxes.json").read_bytes()
    answer = svertka_call("check", data, "--fix", tmp_path / "clean")
    assert answer.status == 1
    assert "2 boxes reaching out" in answer.out
    # One of two copies, two turned round or cut, two that show nothing or lie outside.
    assert f"cleaned: {tmp_path / 'clean'}, 3 images; left out 1; 1 with labels spelt alike now; 5 boxes mended" in (
        answer.out.splitlines()
    )
    assert (data / "boxes.json").read_bytes() == before
    (samples,) = open_dataset(tmp_path / "clean").parts.values()
    left = {
        sample.name[-5:]: [(box.label, box.left, box.top, box.right, box.bottom) for box in sample.annotation.boxes]
        for sample in samples
        if isinstance(sample.annotation, Boxes)
    }
    assert left == {
        "0.jpg": [("cat", 10, 10, 40, 30), ("cat", 40, 10, 70, 30)],
        "1.jpg": [("cat", 40, 30, 60, 40)],
        "2.jpg": [("cat", 0, 10, 40, 80)],
    }
    assert svertka_call("check", tmp_path / "clean", "--json").json["ok"]
    assert svertka_call("check", data, "--fix", tmp_path / "clean.csv").status == 2


@pytest.mark.parametrize("colours", [False, True])
def test_masks_are_copied_with_their_legend(colours: bool, svertka_call: Callable[..., Any], tmp_path: Path) -> None:
    data = tmp_path / "data"
    values = np.zeros((60, 50), np.uint8)
    values[10:30, 5:40] = 255
    for number in range(4):
        for part in ("train", "val"):
            for folder in ("images", "masks"):
                (data / folder / part).mkdir(parents=True, exist_ok=True)
            name = f"{part}/{number}.png"
            Image.effect_noise((50, 60), 60 + 7 * number + len(part)).convert("RGB").save(data / "images" / name)
            mask = np.stack([values, values // 5, values], -1) if colours else values
            Image.fromarray(mask).save(data / "masks" / name)
    (data / "images/train/1.png").write_bytes(b"no image")
    Image.fromarray(values[:9]).save(data / "masks/val/2.png")  # of another size
    if colours:
        (data / "classes.csv").write_text("name,r,g,b\nwater,255,51,255\nland,0,0,0\n")
    assert svertka_call("check", data, "--fix", tmp_path / "clean").status == 1
    before, after = (open_dataset(folder) for folder in (data, tmp_path / "clean"))
    assert {part: len(samples) for part, samples in after.parts.items()} == {"train": 3, "val": 3}
    whole, mended = before.parts["train"][0].annotation, after.parts["train"][0].annotation
    assert isinstance(whole, Mask)
    assert isinstance(mended, Mask)
    assert mended.names == whole.names == (("water", "land") if colours else ("background", "foreground"))
    np.testing.assert_array_equal(mended.source.load(), whole.source.load())
    assert svertka_call("check", tmp_path / "clean", "--json").json["ok"]


def test_folds_are_runs_and_are_resumed(few_digits: Path, svertka_call: Callable[..., Any], tmp_path: Path) -> None:
    out = tmp_path / "cv"
    command = ("train", few_digits, "--folds", 3, *RECIPE, "--out", out)
    answer = svertka_call(*command, "--json")
    assert answer.status == 0, answer.err
    found = answer.json
    assert [Path(fold["run"]).name for fold in found["folds"]] == ["fold-1", "fold-2", "fold-3"]
    values = [metrics["accuracy"] for metrics in found["by_fold"]]
    assert found["metrics"]["accuracy"] == pytest.approx(sum(values) / 3)
    held: list[str] = []
    for fold in (1, 2, 3):
        with (out / f"fold-{fold}" / "split.csv").open(newline="") as file:
            held += [row["file"] for row in csv.DictReader(file) if row["part"] == "val"]
    assert len(held) == len(set(held)) == len(list(few_digits.rglob("*.png")))
    model = (out / "fold-2" / "model.safetensors").read_bytes()
    shutil.rmtree(out / "fold-2")
    again = svertka_call("train", few_digits, "--out", out, "--resume", "--json")
    assert again.status == 0, again.err
    assert (out / "fold-2" / "model.safetensors").read_bytes() == model
    evaluated = svertka_call("evaluate", out / "fold-2", few_digits, "--json").json
    assert (evaluated["judged_on"], evaluated["metrics"]["accuracy"]) == ("val", pytest.approx(values[1]))


def test_a_split_is_given_on(few_digits: Path, svertka_call: Callable[..., Any], tmp_path: Path) -> None:
    first = svertka_call("train", few_digits, *RECIPE, "--out", tmp_path / "a", "--seed", 5, "--json")
    split = tmp_path / "a" / "split.csv"
    other = svertka_call("train", few_digits, *RECIPE, "--out", tmp_path / "b", "--split", split, "--json")
    assert (first.status, other.status) == (0, 0), other.err
    assert (tmp_path / "b" / "split.csv").read_text() == split.read_text()
    said = svertka_call("evaluate", tmp_path / "b", few_digits, "--json").json
    assert (said["judged_on"], said["metrics"]["accuracy"]) == ("val", pytest.approx(other.json["metrics"]["accuracy"]))
    (tmp_path / "b" / "split.csv").unlink()  # then nothing says what was held out
    assert svertka_call("evaluate", tmp_path / "b", few_digits, "--json").json["judged_on"] == "all"
