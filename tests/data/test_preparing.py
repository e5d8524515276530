"""From a data set on disk to parts that can be trained on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from svertka.annotations import Boxes
from svertka.data.preparing import Prepared, learnable_classes, measured, prepare
from svertka.errors import UserError
from svertka.runtime.preprocess import Preprocess

WriteImages = Callable[..., None]
SMALL = Preprocess(height=4, width=4)


def prepared(path: Path, *, val_fraction: float = 0.2, seed: int = 0, divide_if: str | None = None) -> Prepared:
    return prepare(path, SMALL, val_fraction=val_fraction, seed=seed, divide_if=divide_if)


@pytest.fixture
def pets(tmp_path: Path, write_images: WriteImages) -> Path:
    write_images(tmp_path / "pets", [f"{name}/{number}.png" for name in ("cat", "dog") for number in range(10)])
    return tmp_path / "pets"


def names(found: Prepared, part: str) -> set[str]:
    return {found.samples[position].name for position in found.parts[part].positions}


def test_an_undivided_folder_is_divided_class_by_class(pets: Path) -> None:
    found = prepared(pets)
    assert found.counts == {"train": 16, "val": 4}
    assert found.per_class("val") == {"cat": 2, "dog": 2}
    assert names(found, "train") | names(found, "val") == {sample.name for sample in found.samples}
    assert any(note.startswith("20% of the training images are held out") for note in found.notes)
    for part in ("train", "val"):
        division = found.parts[part]
        assert [found.samples[position].annotation for position in division.positions] == list(division.labels)


def test_nothing_is_held_out_where_nothing_is_asked_for(pets: Path) -> None:
    assert prepared(pets, val_fraction=0).counts == {"train": 20}


def test_given_parts_stay_as_they_are(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(
        tmp_path, [f"{part}/{name}/{number}.png" for part in ("train", "val") for name in "ab" for number in (1, 2, 3)]
    )
    found = prepared(tmp_path)
    assert found.counts == {"train": 6, "val": 6}
    assert names(found, "val") == {f"val/{name}/{number}.png" for name in "ab" for number in (1, 2, 3)}


def test_a_test_part_is_never_learnt_from(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(
        tmp_path, [f"{part}/{name}/{number}.png" for part in ("train", "test") for name in "ab" for number in range(5)]
    )
    found = prepared(tmp_path)
    assert found.counts == {"train": 8, "val": 2, "test": 10}
    assert all(name.startswith("test/") for name in names(found, "test"))
    assert all(name.startswith("train/") for name in names(found, "train") | names(found, "val"))


def test_validation_may_lack_a_class(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, ["train/a/1.png", "train/b/1.png", "train/c/1.png", "val/b/1.png"])
    found = prepared(tmp_path)
    assert learnable_classes(found) == ("a", "b", "c")
    assert found.parts["val"].labels == ("b",)


@pytest.mark.parametrize("part", ["val", "test"])
def test_a_part_may_not_have_a_class_that_training_lacks(tmp_path: Path, write_images: WriteImages, part: str) -> None:
    write_images(tmp_path, ["train/a/1.png", "train/a/2.png", "train/b/1.png", "train/b/2.png", f"{part}/c/1.png"])
    with pytest.raises(UserError, match=f"{tmp_path}: {part} has the class 'c', which train lacks"):
        learnable_classes(prepared(tmp_path))


def test_classes_go_by_name_in_natural_order(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, [f"{name}/{number}.png" for name in ("10", "2", "1") for number in range(3)])
    found = prepared(tmp_path)
    assert learnable_classes(found) == ("1", "2", "10")
    for part in found.parts.values():
        for position, label in zip(part.positions, part.labels, strict=True):
            assert found.samples[position].name.startswith(f"{label}/")


def test_one_class_is_none(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, ["cat/1.png", "cat/2.png"])
    with pytest.raises(UserError, match="only one class, 'cat'"):
        learnable_classes(prepared(tmp_path))


def test_nothing_to_train_on(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, ["val/a/1.png", "test/a/1.png"])
    with pytest.raises(UserError, match="nothing to train on; name a folder or a split 'train'"):
        learnable_classes(prepared(tmp_path))


def test_a_broken_image_is_left_out_and_named(pets: Path) -> None:
    (pets / "cat" / "3.png").write_bytes(b"GIF89a: not quite")
    (pets / "dog" / "7.png").write_bytes(b"")
    found = prepared(pets)
    assert sum(found.counts.values()) == 18
    assert [item.file for item in found.skipped] == ["cat/3.png", "dog/7.png"]
    assert found.skipped[1].error == "an empty file"
    assert str(pets) not in found.skipped[0].error
    assert not {"cat/3.png", "dog/7.png"} & (names(found, "train") | names(found, "val"))


def test_only_broken_images_end_it_with_the_first_of_them(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/1.jpg"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(UserError, match=r"none of the 2 images can be read; the first, a/1.png: an empty file"):
        prepared(tmp_path)


def test_the_fingerprint_does_not_depend_on_names_order_or_place(pets: Path, tmp_path: Path) -> None:
    before = prepared(pets).fingerprint
    other = tmp_path / "elsewhere"
    for place, path in enumerate(sorted(pets.rglob("*.png"), reverse=True)):
        (other / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, other / path.parent.name / f"x{place}.png")
    again = prepared(other)
    assert again.fingerprint == before
    digests = [
        {found.images.digests[position] for position in found.parts["val"].positions}
        for found in (prepared(pets), again)
    ]
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    "change",
    [
        lambda pets: (pets / "cat" / "1.png").rename(pets / "dog" / "moved.png"),
        lambda pets: (pets / "cat" / "1.png").unlink(),
        lambda pets: shutil.copyfile(pets / "cat" / "1.png", pets / "cat" / "copy.png"),
        lambda pets: Image.new("RGB", (5, 5)).save(pets / "cat" / "1.png"),
        lambda pets: (pets / "cat" / "1.png").write_bytes(b"broken"),
        lambda pets: (pets / "cat").rename(pets / "lion"),
    ],
    ids=["another label", "one less", "a copy more", "another content", "broken", "another name of the class"],
)
def test_the_fingerprint_changes_with_content_and_label(pets: Path, change: Callable[[Path], object]) -> None:
    before = prepared(pets).fingerprint
    change(pets)
    assert prepared(pets).fingerprint != before


def test_the_fingerprint_changes_when_an_image_changes_its_part(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, ["train/a/1.png", "train/a/2.png", "train/b/1.png", "val/a/3.png"])
    before = prepared(tmp_path).fingerprint
    (tmp_path / "train/a/2.png").rename(tmp_path / "val/a/2.png")
    assert prepared(tmp_path).fingerprint != before


def test_neither_seed_nor_share_nor_geometry_change_the_fingerprint(pets: Path) -> None:
    before = prepared(pets).fingerprint
    assert prepared(pets, seed=5, val_fraction=0.5).fingerprint == before
    assert prepare(pets, Preprocess(height=9, width=9), val_fraction=0, seed=0).fingerprint == before


def test_only_the_data_set_that_is_meant_is_divided(pets: Path) -> None:
    fingerprint = prepared(pets).fingerprint
    assert prepared(pets, divide_if="another").counts == {"all": 20}
    assert prepared(pets, divide_if=fingerprint).counts == {"train": 16, "val": 4}


@pytest.mark.parametrize(
    ("splits", "counts"),
    [
        (("", "", "", "", "test", "test"), {"train": 2, "val": 2, "test": 2}),
        (("train", "train", "", "", "val", "val"), {"train": 4, "val": 2}),
        (("", "", "", "", "val", "val"), {"train": 4, "val": 2}),
    ],
    ids=["beside test", "beside train and val", "beside val"],
)
def test_records_of_no_split_are_learnt_from(
    tmp_path: Path, write_images: WriteImages, splits: tuple[str, ...], counts: dict[str, int]
) -> None:
    write_images(tmp_path, [f"{number}.png" for number in range(6)])
    rows = [f"{number}.png,{'ab'[number % 2]},{split}" for number, split in enumerate(splits)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label,split", *rows]))
    assert prepared(tmp_path / "labels.csv").counts == counts


def test_the_fingerprint_of_boxes_changes_with_them(tmp_path: Path, write_images: WriteImages) -> None:
    def fingerprint(text: str) -> str:
        (tmp_path / "labels.csv").write_text(f"file,label,left,top,right,bottom\n{text}")
        return prepared(tmp_path / "labels.csv", val_fraction=0).fingerprint

    write_images(tmp_path, ["1.png", "2.png"])
    first, second = "1.png,a,0,0,2,2\n", "2.png,b,1,1,3,3\n2.png,a,0,0,2,2\n"
    before = fingerprint(first + second)
    assert fingerprint(second + first) == before
    assert fingerprint(first + "2.png,a,0,0,2,2\n2.png,b,1,1,3,3\n") == before
    assert fingerprint(first + second.replace("3,3", "3,3.5")) != before
    assert fingerprint(first + second.replace("b", "c")) != before


def test_boxes_are_divided_by_the_classes_that_are_there(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, [f"{number}.png" for number in range(20)])
    lines = [f"{number}.png,{'ab'[number // 10]},0,0,2,2\n" * (1 + number % 5) for number in range(20)]
    (tmp_path / "labels.csv").write_text("file,label,left,top,right,bottom\n" + "".join(lines))
    found = prepared(tmp_path / "labels.csv")
    assert found.counts == {"train": 16, "val": 4}
    kinds = [{box.label for box in label.boxes} for label in found.parts["val"].labels if isinstance(label, Boxes)]
    assert sorted(map(sorted, kinds)) == [["a"], ["a"], ["b"], ["b"]]


def test_the_fingerprint_of_masks_and_pictures_changes_with_them(tmp_path: Path, write_images: WriteImages) -> None:
    for kind, other in (("images", "masks"), ("A", "B")):
        write_images(tmp_path / kind, [f"{kind}/1.png", f"{kind}/2.png", f"{other}/2.png"])
        Image.fromarray(np.array([[0, 1]], np.uint8)).save(tmp_path / kind / other / "1.png")
        before = prepare(
            tmp_path / kind, SMALL, val_fraction=0, seed=0, format="masks" if kind == "images" else "pairs"
        )
        Image.fromarray(np.array([[1, 1]], np.uint8)).save(tmp_path / kind / other / "1.png")
        after = prepare(tmp_path / kind, SMALL, val_fraction=0, seed=0, format="masks" if kind == "images" else "pairs")
        assert after.fingerprint != before.fingerprint


def test_mean_and_deviation_by_hand(tmp_path: Path) -> None:
    for name, colour in (("a/1.png", (255, 0, 51)), ("b/1.png", (255, 255, 153))):
        (tmp_path / name).parent.mkdir()
        Image.new("RGB", (4, 4), colour).save(tmp_path / name)
    found = measured(prepared(tmp_path, val_fraction=0))
    assert isinstance(found, Preprocess)
    np.testing.assert_allclose(found.mean, (1, 0.5, 0.4), atol=1e-4)
    np.testing.assert_allclose(found.std, (0.001, 0.5, 0.2), atol=1e-4)


def test_only_training_images_are_measured(tmp_path: Path) -> None:
    for name, level in (("train/a/1.png", 100), ("train/b/1.png", 100), ("val/a/1.png", 255), ("test/b/1.png", 0)):
        (tmp_path / name).parent.mkdir(parents=True)
        Image.new("L", (4, 4), level).save(tmp_path / name)
    found = measured(prepared(tmp_path))
    assert isinstance(found, Preprocess)
    assert found.mean == (round(100 / 255, 4),) * 3


def test_real_hand_signs_are_divided_by_class(shared_data: Path, tmp_path: Path) -> None:
    for folder in (shared_data / "sign-digits" / "Dataset").iterdir():
        (tmp_path / folder.name).mkdir()
        for file in sorted(folder.iterdir())[:15]:
            (tmp_path / folder.name / file.name).symlink_to(file)
    found = prepared(tmp_path)
    assert learnable_classes(found) == tuple("0123456789")
    assert found.per_class("val") == dict.fromkeys("0123456789", 3)
    assert found.per_class("train") == dict.fromkeys("0123456789", 12)
