"""What training finds wrong with series before it learns from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import toy_series
from svertka.commands.train.findings import quick_findings
from svertka.data.checks.findings import Finding
from svertka.data.preparing import prepare
from svertka.runtime.series import SeriesTransform

Values = dict[str, list[NDArray[np.float32]]]
LENGTH = 40


def sound() -> Values:
    rng = np.random.default_rng(0)
    return {name: [rng.normal(size=(LENGTH, 2)).astype(np.float32) for _ in range(16)] for name in ("slow", "fast")}


def found_in(values: Values, folder: Path) -> Mapping[str, Finding]:
    for name, series in values.items():
        (folder / name).mkdir(parents=True)
        for number, one in enumerate(series):
            np.save(folder / name / f"{number}.npy", one)
    plain = SeriesTransform(channels=2, length=LENGTH, mean=(0.0, 0.0), std=(1.0, 1.0), names=("speed", "heat"))
    found = quick_findings(prepare(toy_series.read(folder), plain, val_fraction=0.25, seed=0))
    return {finding.kind: finding for finding in found}


def short(values: Values) -> None:
    values["slow"][:4] = [one[:19] for one in values["slow"][:4]]


def long(values: Values) -> None:
    values["slow"][0] = np.concatenate([values["slow"][0]] * 3)


def same(values: Values) -> None:
    values["slow"][1] = values["slow"][0]


def contradicting(values: Values) -> None:
    values["fast"][0] = values["slow"][0]


def still(values: Values) -> None:
    for one in (*values["slow"], *values["fast"]):
        one[:, 1] = 7


def flat(values: Values) -> None:
    values["fast"][3][:] = values["fast"][3][0]


def few(values: Values) -> None:
    del values["fast"][4:]


def misspelt(values: Values) -> None:
    values["Slow"] = [one + 1 for one in values["slow"]]


@pytest.mark.parametrize(
    ("plant", "kind", "line"),
    [
        (
            short,
            "unusual_lengths",
            "warning: series have 19 to 40 points in time, and the network takes 40: of 4 series more than half of ",
        ),
        (long, "unusual_lengths", "note: series have 40 to 120 points in time, and the network takes 40: of 1 series"),
        (same, "exact_duplicates", "warning: 1 series too many: 1 group of series with the same content"),
        (contradicting, "contradictory_labels", "error: 1 group of series with the same content, with different"),
        (still, "constant_channels", "warning: 1 channel has one value in all series: heat; leave it out"),
        (flat, "flat_series", "warning: 1 series in which no channel ever changes: fast/3.npy"),
        (few, "rare_classes", "warning: 1 class has fewer than 5 series, such as 'fast'; add series of them"),
        (misspelt, "similar_labels", "error: labels written in several ways: 'Slow' / 'slow'"),
    ],
)
def test_a_fault_of_series_is_told(plant: Callable[[Values], None], kind: str, line: str, tmp_path: Path) -> None:
    values = sound()
    plant(values)
    found = found_in(values, tmp_path)
    assert set(found) - {"exact_duplicates"} <= {kind}
    assert found[kind].line().startswith(line)


def test_nothing_is_found_in_sound_series(tmp_path: Path) -> None:
    values = sound()
    values["slow"][0] = values["slow"][0][:21]  # as short as can be without a word
    values["fast"][0] = np.concatenate([values["fast"][0]] * 2)
    assert found_in(values, tmp_path / "some") == {}
    point = {name: [one[:1] for one in series] for name, series in sound().items()}
    assert "flat_series" not in found_in(point, tmp_path / "points")  # one point in time cannot change
