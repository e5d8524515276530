"""Image folders to read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

WriteImages = Callable[..., None]


@pytest.fixture
def write_images() -> WriteImages:
    """Write a small image at each of the paths below a folder; no two are alike, whatever the folder is called."""

    def write(folder: Path, names: Iterable[str], *, salt: str = "") -> None:
        for name in names:
            seed = int.from_bytes(hashlib.sha256(f"{salt}{name}".encode(errors="surrogateescape")).digest()[:4])
            pixels = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), np.uint8)
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / name)

    return write
