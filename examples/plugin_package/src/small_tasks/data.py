"""The data that these tasks are tried with: waves that are made, and the 8 × 8 digits that come with scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

_WAVES = {
    "sine": np.sin,
    "square": lambda phase: np.sign(np.sin(phase)),
    "saw": lambda phase: (phase / np.pi) % 2 - 1,
}


def make_waves(folder: Path, *, each: int = 24, length: int = 64) -> Path:
    """Noisy waves of three forms at random rates, ``folder/FORM/NUMBER.csv``, a column ``value``."""
    rng = np.random.default_rng(0)
    for form, wave in _WAVES.items():
        (folder / form).mkdir(parents=True)
        for number in range(each):
            phase = rng.uniform(0, 7) + rng.uniform(2, 5) * np.linspace(0, 2 * np.pi, length)
            values = wave(phase) + 0.2 * rng.standard_normal(length)
            lines = ["value", *(f"{value:.5f}" for value in values)]
            (folder / form / f"{number}.csv").write_text("\n".join(lines) + "\n")
    return folder


def make_digits(folder: Path, *, digits: int = 4, each: int = 40) -> Path:
    """The first of scikit-learn's handwritten digits as grey pictures, ``folder/DIGIT/NUMBER.png``."""
    found = load_digits()
    for digit in range(digits):
        (folder / str(digit)).mkdir(parents=True)
        for number, pixels in enumerate(found.images[found.target == digit][:each]):
            Image.fromarray(np.rint(pixels * (255 / 16)).astype(np.uint8)).save(folder / str(digit) / f"{number}.png")
    return folder
