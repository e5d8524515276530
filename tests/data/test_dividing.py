"""Dividing by group, into folds, as a file says; and copies that stay together."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import planted
import pytest
from PIL import Image

from svertka.data.preparing import Prepared, prepare
from svertka.data.splitting.split import divide_by_group, read_split
from svertka.errors import UserError
from svertka.runtime.preprocess import Preprocess

MEDIUM = Preprocess(height=64, width=64)


def people(root: Path, count: int = 60) -> Path:
    """Pictures of twelve persons in three classes."""
    for number in range(count):
        path = root / planted.NAMES[number % 3] / f"p{number % 12:02d}_{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        planted.picture(1, number).save(path)
    return root


def members(found: Prepared, part: str) -> set[str]:
    return {found.samples[position].name for position in found.parts[part].positions}


def persons(names: set[str]) -> set[str]:
    return {name.split("/")[1][:3] for name in names}


def test_no_person_is_in_two_parts(tmp_path: Path) -> None:
    for seed in range(5):
        found = prepare(people(tmp_path), MEDIUM, val_fraction=0.25, seed=seed, group="(p[0-9]+)_")
        assert not persons(members(found, "train")) & persons(members(found, "val"))
        assert found.counts == {"train": 45, "val": 15}
        assert found.per_class("val").keys() == set(planted.NAMES)


def test_every_image_is_held_out_once(tmp_path: Path) -> None:
    people(tmp_path)
    held = []
    for fold in range(1, 5):
        found = prepare(tmp_path, MEDIUM, val_fraction=0.2, seed=0, fold=(fold, 4), group="(p[0-9]+)_")
        assert not persons(members(found, "train")) & persons(members(found, "val"))
        held += sorted(members(found, "val"))
    assert len(held) == len(set(held)) == 60


def test_near_copies_stay_together(tmp_path: Path) -> None:
    people(tmp_path)
    for number in range(20):
        file = sorted((tmp_path / "cat").glob("p*.png"))[number]
        planted.jpeg(Image.open(file).convert("RGB"), 40).save(file.with_name(f"copy_{file.name}"))
    for seed in range(5):
        found = prepare(tmp_path, MEDIUM, val_fraction=0.3, seed=seed)
        for name in members(found, "val"):
            plain = name.replace("copy_", "")
            assert not {plain, plain.replace("cat/", "cat/copy_")} & members(found, "train")


def test_a_written_split_is_reused_under_new_names(tmp_path: Path) -> None:
    root = people(tmp_path / "data")
    first = prepare(root, MEDIUM, val_fraction=0.2, seed=3)
    (tmp_path / "split.csv").write_text(first.split())
    assert len(read_split(tmp_path / "split.csv")) == 60
    again = prepare(root, MEDIUM, val_fraction=0.5, seed=8, split=tmp_path / "split.csv")
    assert again.division == first.division
    held = root / min(members(first, "val"))
    held.rename(held.with_name("renamed.png"))
    (root / "cat" / "none_of_these.png").write_bytes(b"")
    planted.picture(5, 5).save(root / "cat" / "new.png")
    renamed = prepare(root, MEDIUM, val_fraction=0.5, seed=8, split=tmp_path / "split.csv")
    assert renamed.division == first.division
    assert any("1 image that it does not name is left out" in note for note in renamed.notes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,part\na,train\n", "not a split"),
        ("file,part\na,elsewhere\n", "line 2: the part 'elsewhere'"),
        ("file,part\na,train\na,val\n", "a is in train and in val"),
        ("file,part\nnone,train\n", "names none of the images"),
    ],
)
def test_what_is_no_split_is_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "split.csv").write_text(text)
    with pytest.raises(UserError, match=said):
        prepare(people(tmp_path / "data", 12), MEDIUM, val_fraction=0.2, seed=0, split=tmp_path / "split.csv")


@pytest.mark.parametrize(("group", "said"), [("(p[0-9]+", "regular expression"), ("person", "fits no image")])
def test_a_group_that_cannot_be_found_is_refused(group: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        prepare(people(tmp_path, 12), MEDIUM, val_fraction=0.2, seed=0, group=group)


def test_too_few_groups_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="1 group cannot be divided into 2 parts"):
        prepare(people(tmp_path, 12), MEDIUM, val_fraction=0.2, seed=0, group="(p)")


@pytest.mark.parametrize("seed", range(5))
def test_labels_are_spread_evenly_over_folds(seed: int) -> None:
    generator = np.random.default_rng(seed)
    labels = [(f"c{label}",) for label in generator.choice(4, 600, p=(0.6, 0.25, 0.1, 0.05))]
    keys = [f"g{group}" for group in generator.integers(0, 120, 600)]
    part = divide_by_group(labels, keys, shares=[0.2] * 5, seed=seed)
    assert {len(set(part[np.array(keys) == key])) for key in set(keys)} == {1}
    whole = Counter(labels)
    for fold in range(5):
        there = Counter(label for label, number in zip(labels, part.tolist(), strict=True) if number == fold)
        for label, count in whole.items():
            assert abs(there[label] - count / 5) <= max(5, 0.3 * count / 5)
