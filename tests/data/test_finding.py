"""Files that annotations name are found by one rule, in every reader."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from svertka.annotations import Boxes
from svertka.data.files.paths import ImageFinder, OutsideError, below
from svertka.data.files.records import RecordError
from svertka.data.readers.reading import open_dataset
from svertka.errors import UserError
from svertka.workflows.image_files import matching_files


def picture(path: Path, grey: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), (grey, grey, grey)).save(path, format="PNG")
    return path


@pytest.mark.parametrize(
    ("there", "named", "found"),
    [
        ("a/0.png", "a/0.png", "a/0.png"),
        ("a/0.PNG", "a/0.png", "a/0.PNG"),
        ("A/Photos/0.png", "a/photos/0.PNG", "A/Photos/0.png"),
        ("a/shot.1.2.png", "a/shot.1.2", "a/shot.1.2.png"),
        ("a/Shot.1.PNG", "a/shot.1", "a/Shot.1.PNG"),
    ],
)
def test_a_name_may_differ_in_case_or_lack_its_suffix(there: str, named: str, found: str, tmp_path: Path) -> None:
    picture(tmp_path / there)
    assert below(tmp_path, named) == tmp_path / found
    assert ImageFinder(tmp_path, [tmp_path]).find(named) == tmp_path / found
    assert ImageFinder(tmp_path, [tmp_path / "elsewhere"]).find(named.rsplit("/", 1)[-1]) == tmp_path / found


def test_what_fits_twice_is_named_and_an_exact_name_wins(tmp_path: Path) -> None:
    for name in ("x.PNG", "X.png", "y.png", "Y.PNG"):
        picture(tmp_path / name)
    with pytest.raises(
        RecordError, match=r"x\.png does not exist, and (x\.PNG and X\.png|X\.png and x\.PNG) are there"
    ):
        below(tmp_path, "x.png")
    assert below(tmp_path, "y.png").name == "y.png"


def test_what_is_missing_is_told_with_what_is_near(tmp_path: Path) -> None:
    picture(tmp_path / "photo_0001.png")
    with pytest.raises(RecordError, match=r"photo_001\.png does not exist; photo_0001\.png does"):
        below(tmp_path, "photo_001.png")


def test_names_in_several_folders_are_told_apart_by_what_the_record_says(tmp_path: Path) -> None:
    for subset in ("Train", "Validation"):
        picture(tmp_path / "images" / subset / "0.png")
    finder = ImageFinder(tmp_path, [tmp_path, tmp_path / "images"])
    assert finder.find("0.png", within="Train").parent.name == "Train"
    assert finder.find("0.png", within="val").parent.name == "Validation"
    assert finder.find("export/Train/0.png").parent.name == "Train"
    with pytest.raises(RecordError, match=r"0\.png is there 2 times: images/Train/0\.png, images/Validation/0\.png"):
        finder.find("0.png")


def test_no_link_and_no_case_leads_out(tmp_path: Path) -> None:
    picture(tmp_path / "secret.png")
    root = tmp_path / "data"
    root.mkdir()
    (root / "Link.png").symlink_to(tmp_path / "secret.png")
    for name in ("../secret.png", "../SECRET.png", "Link.png", "link.png"):
        with pytest.raises((OutsideError, RecordError)):
            below(root, name)
        with pytest.raises(RecordError):
            ImageFinder(root, [root]).find(name)


def _coco(root: Path, name: str) -> None:
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [4, 5, 10, 10], "area": 100, "iscrowd": 0}
    images, categories = [{"id": 1, "file_name": name, "width": 40, "height": 30}], [{"id": 1, "name": "cell"}]
    (root / "a.json").write_text(json.dumps({"images": images, "annotations": [box], "categories": categories}))


def _voc(root: Path, name: str) -> None:
    box = "<bndbox><xmin>4</xmin><ymin>5</ymin><xmax>14</xmax><ymax>15</ymax></bndbox>"
    text = f"<annotation><filename>{name}</filename><object><name>cell</name>{box}</object></annotation>"
    (root / "other.xml").write_text(text)


def _cvat(root: Path, name: str) -> None:
    box = '<box label="cell" xtl="4" ytl="5" xbr="14" ybr="15"/>'
    image = f'<image id="0" name="{name}" width="40" height="30">{box}</image>'
    (root / "a.xml").write_text(f"<annotations>{image}</annotations>")


def _labelme(root: Path, name: str) -> None:
    shape = {"label": "cell", "shape_type": "rectangle", "points": [[4, 5], [14, 15]]}
    (root / "other.json").write_text(json.dumps({"shapes": [shape], "imagePath": name, "imageData": None}))


def _label_studio(root: Path, name: str) -> None:
    value = {"x": 10, "y": 10, "width": 20, "height": 20, "rectanglelabels": ["cell"]}
    result = {"type": "rectanglelabels", "value": value, "original_width": 40, "original_height": 30}
    task = {"id": 1, "data": {"image": f"/data/local-files/?d={name}"}, "annotations": [{"result": [result]}]}
    (root / "a.json").write_text(json.dumps([task]))


def _table(root: Path, name: str) -> None:
    (root / "boxes.csv").write_text(f"file,label,xmin,ymin,xmax,ymax\n{name},cell,4,5,14,15\n")


@pytest.mark.parametrize("write", [_coco, _voc, _cvat, _labelme, _label_studio, _table])
@pytest.mark.parametrize(
    ("there", "named"),
    [("0.PNG", "0.png"), ("shot.1.2.png", "shot.1.2"), ("photos [2024]/0.PNG", "photos [2024]/0.png")],
)
def test_every_reader_finds_files_by_that_rule(
    write: Callable[[Path, str], None], there: str, named: str, tmp_path: Path
) -> None:
    root = tmp_path / "data [1]"
    picture(root / there)
    write(root, named)
    dataset = open_dataset(root)
    (sample,) = (sample for part in dataset.parts.values() for sample in part)
    assert sample.name == there
    assert isinstance(sample.annotation, Boxes)
    assert [box.label for box in sample.annotation.boxes] == ["cell"]
    assert dataset.skipped == []


def test_brackets_in_real_folders_are_no_pattern(tmp_path: Path) -> None:
    kept = picture(tmp_path / "photos [2024]" / "a.png")
    picture(tmp_path / "photos 2" / "b.png")
    assert matching_files(tmp_path / "photos [2024]" / "*.png") == [kept]
    assert matching_files(tmp_path / "photos [2024]") == [kept]
    with pytest.raises(UserError, match="nothing matches"):
        matching_files(tmp_path / "photos [2024]" / "*.jpg")


def test_a_link_in_the_place_of_the_images_is_named_with_the_remedy(tmp_path: Path) -> None:
    picture(tmp_path / "real" / "0.png")
    root = tmp_path / "data"
    (root / "labels").mkdir(parents=True)
    (root / "labels" / "0.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (root / "data.yaml").write_text("names: [cell]\ntrain: images\nval: images\n")
    (root / "images").symlink_to(tmp_path / "real")
    with pytest.raises(UserError, match=r"links to folders are passed over: images.*put the folder itself"):
        open_dataset(root)
