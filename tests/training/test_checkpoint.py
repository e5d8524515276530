"""Checkpoints: at every moment one of the two is whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import safetensors.torch
import torch

from svertka.errors import UserError
from svertka.training.checkpoint import Checkpoint, Checkpoints


def moment(number: int) -> Checkpoint:
    tensors = {"net/weight": torch.full((3, 4), float(number)), "optimizer/weight/step": torch.tensor(number)}
    return Checkpoint({"steps": number, "sums": {"samples": 0.1}, "best_rank": [1 / 3, -0.7]}, tensors)


def number(checkpoints: Checkpoints) -> int | None:
    found, _ = checkpoints.load()
    return None if found is None else found.state["steps"]


@pytest.fixture
def saved(tmp_path: Path) -> Checkpoints:
    """Two saves: 1 is the previous, 2 the newest."""
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(moment(step))
    return checkpoints


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    Checkpoints(tmp_path).save(moment(1))
    found, warnings = Checkpoints(tmp_path).load()
    assert warnings == []
    assert found is not None
    assert found.state == moment(1).state
    assert found.tensors.keys() == moment(1).tensors.keys()
    for name, value in moment(1).tensors.items():
        assert torch.equal(found.tensors[name], value)
        assert found.tensors[name].dtype == value.dtype


def test_nothing_saved_is_nothing_loaded(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path).load() == (None, [])


def test_the_newest_two_are_kept_and_nothing_else(saved: Checkpoints, tmp_path: Path) -> None:
    saved.save(moment(3))
    assert number(saved) == 3
    saved.newest.unlink()
    assert number(saved) == 2
    assert [path.name for path in tmp_path.iterdir()] == [saved.previous.name]


def test_layout_in_memory_does_not_matter(tmp_path: Path) -> None:
    weight = torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last)
    Checkpoints(tmp_path).save(Checkpoint({}, {"weight": weight, "turned": weight[:, 0, 0].T}))
    found, _ = Checkpoints(tmp_path).load()
    assert found is not None
    assert torch.equal(found.tensors["weight"], weight)
    assert torch.equal(found.tensors["turned"], weight[:, 0, 0].T)


@pytest.mark.parametrize("bytes_left", [0, 7, 100, -1])
def test_a_truncated_newest_falls_back_with_a_warning(saved: Checkpoints, bytes_left: int) -> None:
    saved.newest.write_bytes(saved.newest.read_bytes()[:bytes_left])
    found, warnings = saved.load()
    assert found is not None
    assert found.state["steps"] == 1
    assert len(warnings) == 1
    assert str(saved.newest) in warnings[0]
    assert "\n" not in warnings[0]


def test_every_flipped_bit_is_found(saved: Checkpoints) -> None:
    size = saved.newest.stat().st_size
    whole = saved.newest.read_bytes()
    for position in range(0, size, 7):
        flip(saved.newest, position)
        found, warnings = saved.load()
        assert found is not None
        assert (found.state["steps"], len(warnings)) == (1, 1), position
        saved.newest.write_bytes(whole)
    assert number(saved) == 2


def test_a_file_of_another_kind_is_passed_over(saved: Checkpoints) -> None:
    safetensors.torch.save_file({"weight": torch.zeros(1)}, saved.newest)
    assert number(saved) == 1


def test_two_damaged_ones_begin_anew_and_say_so(saved: Checkpoints) -> None:
    for path in (saved.newest, saved.previous):
        flip(path, -1)
    found, warnings = saved.load()
    assert found is None
    assert len(warnings) == 3
    assert "anew" in warnings[-1]


def test_a_damaged_newest_never_takes_the_place_of_the_whole_one(saved: Checkpoints, tmp_path: Path) -> None:
    flip(saved.newest, -1)
    resumed = Checkpoints(tmp_path)
    assert number(resumed) == 1
    resumed.save(moment(3))
    assert number(resumed) == 3
    flip(resumed.newest, -1)
    assert number(resumed) == 1
    resumed = Checkpoints(tmp_path)
    resumed.save(moment(4))
    resumed.save(moment(5))
    assert number(resumed) == 5


@pytest.mark.parametrize("calls_before_the_crash", [0, 1])
def test_a_crash_between_the_two_renames_loses_nothing(
    saved: Checkpoints, calls_before_the_crash: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, calls = Path.replace, []

    def crashing(self: Path, target: Path) -> Path:
        if len(calls) == calls_before_the_crash:
            raise KeyboardInterrupt
        calls.append(target)
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", crashing)
        with pytest.raises(KeyboardInterrupt):
            saved.save(moment(3))
    assert saved.newest.exists() == (calls_before_the_crash == 0)
    assert number(saved) == 2
    saved.save(moment(3))
    assert number(saved) == 3


def test_a_full_disk_leaves_what_was_saved(saved: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(descriptor: int) -> None:
        del descriptor
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="the disk is full"):
        saved.save(moment(3))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
