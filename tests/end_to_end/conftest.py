"""Real data, and a model that is trained once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from calling import Answer, call

PLAIN = ("--precision", "fp32", "--layout", "channels_first", "--device", "cpu", "--threads", "1")
"""What a timing or the number of processors would decide otherwise."""


def write_digits(folder: Path, per_class: int) -> Path:
    """The first so many of scikit-learn's handwritten digits of each class, as PNG class folders."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    for label in range(10):
        place = folder / str(label)
        place.mkdir(parents=True)
        for number in np.flatnonzero(digits.target == label)[:per_class]:
            grey = np.round(255 * (1 - digits.images[number] / 16)).astype(np.uint8)
            Image.fromarray(grey).save(place / f"{number:04}.png")
    return folder


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 digits in class folders; not to be changed."""
    return write_digits(tmp_path_factory.mktemp("data") / "digits", 20)


@pytest.fixture(scope="session")
def few_digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """50 digits in class folders; not to be changed."""
    return write_digits(tmp_path_factory.mktemp("data") / "few", 5)


@pytest.fixture(scope="session")
def trained(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Answer]:
    """The folder of a run on ``digits`` that learnt something, and what training said."""
    run = tmp_path_factory.mktemp("runs") / "digits"
    recipe = ("--epochs", 12, "--batch", 16, "--lr", 0.006, "--augment", "none")
    answer = call("train", digits, "--out", run, *recipe, *PLAIN, "--json")
    assert answer.status == 0, answer.err
    return run, answer


@pytest.fixture(scope="session")
def refusing(digits: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Answer]:
    """The folder of a run on ``digits`` that refuses images of something else, and what training said."""
    run = tmp_path_factory.mktemp("runs") / "refusing"
    answer = call(
        "train", digits, "--weights", weights, "--reject", 0.05, "--engine", "pytorch", "--out", run, *PLAIN, "--json"
    )
    assert answer.status == 0, answer.err
    return run, answer


@pytest.fixture(scope="session")
def plain() -> tuple[str, ...]:
    return PLAIN
