"""Series as data: read once, divided, scaled by what the training part measures, and handed to a network."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

from svertka import plugins
from svertka.data.batching.batches import Inputs
from svertka.data.batching.handling import handling_for, inputs_of
from svertka.data.cache.series import SeriesValues, load_series_values
from svertka.data.preparing import Prepared, measured, prepare
from svertka.data.samples import SeriesFile
from svertka.errors import UserError
from svertka.runtime.preprocess import Preprocess
from svertka.runtime.series import SeriesTransform
from toy_series import TASK, THINGS, write

LONG = SeriesTransform(channels=2, length=40, mean=(0, 0), std=(1, 1))
COUNTS = {"slow": 10, "fast": 10}


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setattr(plugins, "_state", plugins._State())
    monkeypatch.setenv("SVERTKA_CACHE", str(tmp_path_factory.mktemp("cache")))
    plugins.register(*THINGS)


def prepared_from(folder: Path, transform: SeriesTransform = LONG, val_fraction: float = 0.3) -> Prepared:
    return prepare(folder, transform, val_fraction=val_fraction, seed=0)


def values_of(prepared: Prepared, part: str) -> list[np.ndarray]:
    return [prepared.samples[position].source.load()[0] for position in prepared.parts[part].positions]


def test_series_are_divided_and_become_inputs(tmp_path: Path) -> None:
    prepared = prepared_from(write(tmp_path / "data", COUNTS))
    assert prepared.task == TASK
    assert prepared.counts == {"train": 14, "val": 6}
    assert prepared.per_class("val") == {"slow": 3, "fast": 3}
    transform = measured(prepared)
    assert isinstance(transform, SeriesTransform)
    rows = np.concatenate(values_of(prepared, "train")).astype(np.float64)
    np.testing.assert_allclose(transform.mean, rows.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(transform.std, rows.std(axis=0), rtol=1e-5)
    inputs: Inputs = inputs_of(prepared, "train", transform, learning=True, augmentations=("crop",), seed=3)
    taken = inputs.take(np.arange(14), 1)
    assert taken.shape == (14, 2, 40)
    assert taken.dtype == np.float32
    np.testing.assert_array_equal(taken, transform(values_of(prepared, "train")))
    np.testing.assert_array_equal(taken, inputs.take(np.arange(14), 2))  # nothing is augmented


def test_a_second_reading_takes_what_is_kept_and_gives_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "data", COUNTS)
    before = prepared_from(folder)
    monkeypatch.setattr(SeriesFile, "load", lambda _: pytest.fail("it is read again"))
    after = prepared_from(folder, dataclasses.replace(LONG, length=11))  # its length does not matter
    assert after.fingerprint == before.fingerprint
    assert isinstance(before.contents, SeriesValues)
    assert isinstance(after.contents, SeriesValues)
    everything = np.arange(len(before.samples))
    for one, other in zip(before.contents.each(everything), after.contents.each(everything), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_damaged_cache_and_none_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [SeriesFile(path) for path in sorted(write(tmp_path / "data", COUNTS).rglob("*.npy"))]
    everything = np.arange(len(sources))
    expected = load_series_values(sources, LONG).each(everything)
    (kept,) = Path(os.environ["SVERTKA_CACHE"]).rglob("*.values")
    data = bytearray(kept.read_bytes())
    data[5] ^= 1
    kept.write_bytes(data)
    found = [load_series_values(sources, LONG)]
    monkeypatch.setenv("SVERTKA_CACHE", str(tmp_path / "another"))
    monkeypatch.setenv("SVERTKA_CACHE_GB", "0")
    found.append(load_series_values(sources, LONG))
    assert [one.values is None for one in found] == [False, True]
    for one in found:
        for series, wanted in zip(one.each(everything), expected, strict=True):
            np.testing.assert_array_equal(series, wanted)


def test_what_cannot_be_used_is_left_out_and_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", COUNTS)
    np.save(folder / "fast" / "90.npy", np.array([[1, np.nan]], np.float32))
    np.save(folder / "fast" / "91.npy", np.zeros((9, 3), np.float32))
    (folder / "slow" / "92.csv").write_text("speed,heat\n1,2\n3\n")
    skipped = {item.file: item.error for item in prepared_from(folder).skipped}
    assert sorted(skipped) == ["fast/90.npy", "fast/91.npy", "slow/92.csv"]
    assert "channel 2 is no finite number" in skipped["fast/90.npy"]
    assert "3 channels" in skipped["fast/91.npy"]


def test_equal_series_stay_together_whatever_file_they_are_in(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", {"slow": 6, "fast": 6})
    for path in list(folder.rglob("*.npy")):
        np.savetxt(path.with_name(f"{path.stem}-copy.csv"), np.load(path), delimiter=",", header="a,b", comments="")
    for seed in range(3):
        prepared = prepare(folder, LONG, val_fraction=0.4, seed=seed)
        digests = [
            {prepared.contents.digests[position] for position in division.positions}
            for division in prepared.parts.values()
        ]
        assert not digests[0] & digests[1]


def test_other_contents_or_labels_have_another_fingerprint(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", COUNTS)
    before = prepared_from(folder).fingerprint
    values = np.load(folder / "fast" / "1.npy")
    values[0, 0] += 1
    np.save(folder / "fast" / "1.npy", values)
    assert prepared_from(folder).fingerprint != before


def test_a_channel_that_never_changes_is_not_divided_by_nothing(tmp_path: Path) -> None:
    for name, levels in (("a", (1.0, 2.0)), ("b", (3.0, 4.0))):
        (tmp_path / name).mkdir()
        for number, level in enumerate(levels):
            np.save(tmp_path / name / f"{number}.npy", np.array([[level, 1e7], [level, 1e7]], np.float32))
    transform = measured(prepared_from(tmp_path, val_fraction=0))
    assert isinstance(transform, SeriesTransform)
    assert transform.std[1] == 1


def test_images_and_series_are_not_taken_for_one_another(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", COUNTS)
    with pytest.raises(UserError, match="the network takes images, and these are series"):
        prepare(folder, Preprocess(height=8, width=8), val_fraction=0, seed=0)


def test_golden_values_are_small_and_run_together(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(3):
            np.save(tmp_path / name / f"{number}.npy", np.random.default_rng(number).normal(size=(50_000, 2)))
    prepared = prepared_from(tmp_path, val_fraction=0)
    handling = handling_for(prepared)
    golden = handling.golden(prepared, "train", LONG)
    assert len(golden) == 4
    assert all(value.nbytes <= 1 << 18 for value in golden)
    assert LONG(golden).shape == (4, 2, 40)
    assert handling.deployed_input(LONG) is LONG


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (5000, 3), (40, 60)])
def test_a_series_is_drawn_as_curves(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    transform = SeriesTransform(channels=shape[1], length=8, mean=(0,) * shape[1], std=(1,) * shape[1])
    picture = transform.picture(values)
    assert picture.dtype == np.uint8
    assert picture.shape[1:] == (480, 3)
    assert 0.001 < (picture != 255).any(axis=2).mean() < 0.6


def test_a_peak_among_many_points_is_drawn() -> None:
    values = np.zeros((100_000, 1), np.float32)
    values[77_777] = 1
    picture = SeriesTransform(channels=1, length=8, mean=(0,), std=(1,)).picture(values)
    assert (picture[:20] != 255).any()
