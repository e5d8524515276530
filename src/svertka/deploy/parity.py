"""Whether an engine gives what the network gives: on the user's images, in batches of several sizes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from svertka.runtime.agreement import difference
from svertka.runtime.decoding import Outputs
from svertka.runtime.engines import Engine

BATCHES = (1, 2, 3, 8)
"""Sizes of batches that engines are compared at; each also cuts the images differently."""


def one_by_one(engine: Engine, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """What an engine says of images ``(N, C, H, W)``, each by itself."""
    return _run(engine, images, 1)


def largest_difference(engine: Engine, images: NDArray[np.float32], expected: Outputs) -> float:
    """The largest absolute difference between an engine's outputs and those expected, over all sizes of batches.

    Infinite where an output is missing, has another shape, or is no number.

    Args:
        engine: Under test.
        images: ``(N, C, H, W)``.
        expected: Its outputs by name, first axis N.
    """
    return max(difference(_run(engine, images, batch), expected) for batch in BATCHES)


def scale(expected: Outputs) -> float:
    """The largest absolute value among outputs, at least one: what rounding errors grow with."""
    return max(1.0, *(float(np.abs(values).max(initial=0.0)) for values in expected.values()))


def resized(images: NDArray[np.float32], sides: Sequence[tuple[int, int]]) -> Iterator[NDArray[np.float32]]:
    """The images ``(N, C, H, W)`` at other heights and widths: cut off, or going on as they began."""
    for height, width in sides:
        rows, columns = (
            np.arange(side) % length for side, length in zip((height, width), images.shape[2:], strict=True)
        )
        yield np.ascontiguousarray(images[:, :, rows][..., columns])


def _run(engine: Engine, images: NDArray[np.float32], batch: int) -> dict[str, NDArray[np.float32]]:
    parts = [engine.run(images[start : start + batch]) for start in range(0, len(images), batch)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
