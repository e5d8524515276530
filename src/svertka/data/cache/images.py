"""Images are decoded once: what the network's geometry makes of them is kept in a memory-mapped file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from svertka.annotations import ImageSource
from svertka.data.cache.loaded import Advance, Form, load_all
from svertka.data.cache.mapped import HeldRows, MappedArrays, MappedRows
from svertka.runtime.image import ImageError
from svertka.runtime.preprocess import Preprocess

_CACHE_VERSION = 4  # raise it when decoding or geometry changes what comes out, or what is kept beside the pixels
_MEASURED = 5000  # images that mean and deviation are taken from, at most
_GEOMETRY = ("height", "width", "channels", "fit", "shorter", "interpolation")


@dataclass(frozen=True)
class Images:
    """The images of a data set as the network will see them, before augmentation.

    Attributes:
        pixels: Arrays ``(height, width, channels)`` uint8, memory-mapped: rows of one shape, or whole images of their
            own shapes; None where they were too many to keep, and are decoded whenever they are asked for.
        digests: Digest of each image's content; empty for one that cannot be read.
        errors: Why an image cannot be read, by position.
        sizes: Height and width of each upright image as it was decoded, in pixels; 0 of one that cannot be read.
    """

    sources: Sequence[ImageSource]
    preprocess: Preprocess
    pixels: MappedRows | HeldRows | MappedArrays | None
    digests: tuple[str, ...]
    errors: dict[int, str]
    sizes: tuple[tuple[int, int], ...]
    shapes: tuple[tuple[int, ...], ...] | None = None
    """Of every image, where they are whole; an image that cannot be read is of one pixel."""

    @property
    def transform(self) -> Preprocess:
        """See `svertka.data.cache.loaded.Contents`."""
        return self.preprocess

    @property
    def sides(self) -> tuple[int, ...]:
        """The shorter side of each image as it was decoded, in pixels; 0 of one that cannot be read."""
        return tuple(min(size) for size in self.sizes)

    def take(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """A copy of the images at these positions, ``(n, height, width, channels)`` uint8; all of one shape."""
        if isinstance(self.pixels, MappedRows | HeldRows):
            return self.pixels.take(positions)
        return np.stack(self.each(positions))

    def each(self, positions: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
        """A copy of each of the images at these positions, ``(height, width, channels)`` uint8."""
        if isinstance(self.pixels, MappedRows | HeldRows):
            return list(self.pixels.take(positions))
        if self.pixels is not None:
            return [self.pixels.get(position) for position in positions.tolist()]
        return [self.preprocess.place(self.sources[position].load()[0]) for position in positions.tolist()]

    def statistics(self, positions: NDArray[np.int64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of the images at these positions by channel, in units where white is 1."""
        positions = positions[:: max(1, len(positions) // _MEASURED)]
        counts = np.zeros((self.preprocess.channels, 256), np.int64)
        for start in range(0, len(positions), 64):
            for pixels in self.each(positions[start : start + 64]):
                for channel in range(len(counts)):
                    counts[channel] += np.bincount(pixels[..., channel].ravel(), minlength=256)
        values = np.arange(256) / 255
        share = counts / counts.sum(axis=1, keepdims=True)
        mean = share @ values
        deviation = np.sqrt(np.maximum(share @ values**2 - mean**2, 0))
        # A set of images of one colour would ask for a division by nought.
        return tuple(np.round(mean, 4).tolist()), tuple(np.round(np.maximum(deviation, 1e-3), 4).tolist())


def load_images(sources: Sequence[ImageSource], preprocess: Preprocess, *, advance: Advance | None = None) -> Images:
    """Decode all images, or find them decoded.

    Only the geometry of ``preprocess`` matters. An image that cannot be read is named in the result, no error.
    """
    pixels, index = load_all(sources, _form(preprocess), advance)
    return Images(sources, preprocess, pixels, tuple(index.digests), index.errors, tuple(index.sizes), index.own_shapes)


def _form(preprocess: Preprocess) -> Form:
    geometry = {name: value for name, value in preprocess.to_json().items() if name in _GEOMETRY}
    shape = preprocess.height, preprocess.width, preprocess.channels
    whole = preprocess.fit == "whole"
    return Form(
        folder="images",
        suffix=".pixels",
        decides=[_CACHE_VERSION, geometry],
        place=preprocess.place,
        shape=None if whole else shape,
        absent=(1, 1, preprocess.channels) if whole else shape,
        dtype=np.uint8,
        unusable=ImageError,
        again="its images are decoded again",
    )
