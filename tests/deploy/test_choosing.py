"""Choosing: the fastest over both sizes of batch, what is slower refused, what was refused before not even run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from svertka.deploy import choosing
from svertka.deploy.choosing import Trial, choose
from svertka.deploy.timing import Timing
from svertka.runtime.decoding import Outputs

SECONDS = {
    ("onnxruntime", "fp32", 0): (0.010, 0.080),
    ("openvino", "fp32", 0): (0.008, 0.060),
    ("openvino", "fp32", 1): (0.008, 0.050),
    ("openvino", "fp32", 4): (0.008, 0.055),
    ("onnxruntime", "int8", 0): (0.004, 0.090),
    ("openvino", "int8", 0): (0.006, 0.030),
    ("openvino", "int8", 1): (0.006, 0.040),
    ("openvino", "int8", 4): (0.006, 0.020),
}
EXAMPLES = np.zeros((1, 3, 2, 2), np.float32)


class Told:
    """An engine whose times are told."""

    name = "told"

    def __init__(self, trial: Trial) -> None:
        self.times = SECONDS[trial.engine, trial.precision, trial.piece]

    def run(self, batch: NDArray[Any]) -> Outputs:
        raise AssertionError(f"run on {len(batch)} images")


@pytest.fixture(autouse=True)
def _told(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(runs: Mapping[str, Any], examples: object, *, batch: int, **_: float) -> dict[str, Timing]:
        assert examples is EXAMPLES
        times = {name: run.__self__.times[batch > 1] for name, run in runs.items()}
        return {name: Timing(batch, 5, p50, p50, batch / p50) for name, p50 in times.items()}

    monkeypatch.setattr(choosing, "measure", measure)
    monkeypatch.setattr(Trial, "open", lambda trial, **_: Told(trial))


TRIALS = [
    Trial("onnxruntime", "fp32"),
    Trial("openvino", "fp32"),
    Trial("onnxruntime", "int8"),
    Trial("openvino", "int8"),
]


def test_the_fastest_over_both_sizes_is_taken_in_its_best_pieces() -> None:
    found = choose(TRIALS, EXAMPLES, threads=1)
    assert [trial.refused is None for trial in found] == [False, False, False, True]
    assert found[3].piece == 4
    assert found[1].piece == 1
    assert {batch: timing.p50 for batch, timing in found[3].timings.items()} == {1: 0.006, 8: 0.020}
    # The geometric means: 0.0283, 0.02, 0.0190 and 0.0110 seconds.
    assert found[0].refused == "takes 2.58 × as long"
    assert found[2].refused == "takes 1.73 × as long"


def test_what_was_refused_stays_so_and_is_not_timed() -> None:
    trials = [*TRIALS[:3], replace(TRIALS[3], refused="loses 3.00 points")]
    found = choose(trials, EXAMPLES, threads=1)
    assert found[3] == trials[3]
    assert [trial.refused is None for trial in found] == [False, False, True, False]


def test_a_trial_as_json_says_all() -> None:
    said = choose(TRIALS, EXAMPLES, threads=1)[3].to_json()
    assert said["engine"] == "openvino"
    assert [timing["batch"] for timing in said["timings"]] == [1, 8]
    assert said["refused"] is None
