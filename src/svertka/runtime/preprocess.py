"""From a decoded image to what a network takes. There is one implementation, and this is it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from svertka.errors import UserError
from svertka.runtime.image import IMAGE_SUFFIXES, pixels_of, read_image
from svertka.runtime.inputs import InputTransform, aligned
from svertka.runtime.proposals import selective_search
from svertka.wording import counted

Fit = Literal["stretch", "crop", "pad", "whole"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]
Order = Literal["rgb", "bgr"]

_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_MAX_SIDE = 16384
_MAX_PIXELS = 4096 * 4096
"""Of one input: 250 MB in single precision, and every layer that follows takes as much or more."""

_MOST_REGIONS = 10_000
_MOST_ENLARGED = 4
"""How many times longer than the result the shorter side is before the cut; for a thin image that is much more."""

THINNEST = 64
"""How many times longer than wide an image is resized for a crop: a strip of 1 × 300,000 pixels would take 80 GB."""


@dataclass(frozen=True, kw_only=True)
class Preprocess(InputTransform):
    """The input transform of images: geometry first (uint8, what the image cache keeps), then arithmetic (to float32).

    Attributes:
        height, width: Size of the result in pixels; of ``"whole"``, that of what the network learnt from at a time.
        channels: 3, or 1 for grey (ITU-R 601 luma).
        fit: ``"stretch"`` changes the proportions; ``"crop"`` brings the shorter side to ``shorter`` pixels
            and cuts the middle out; ``"pad"`` brings the longer side inside and fills with white; ``"whole"`` leaves
            every pixel where it is, see `svertka.runtime.tiling`.
        shorter: Length of the shorter side before the cut, for ``"crop"``.
        interpolation: How pixels are resampled (with antialiasing when shrinking).
        mean, std: By channel, in units where white is 1: ``(pixel / 255 - mean) / std``.
        order: Order of the channels in the result.
        margin: Pixels at each border of its input of which the network says nothing, for ``"whole"``: what its
            convolutions without padding take away.
        regions: How many regions of an image are proposed to the network, which looks into each; 0 for one that finds
            its own, or needs none. See `svertka.runtime.proposals`.
    """

    media: ClassVar[str] = "image"
    suffixes: ClassVar[Collection[str]] = IMAGE_SUFFIXES
    graph_input: ClassVar[str] = "images"

    height: int
    width: int
    channels: int = 3
    fit: Fit = "stretch"
    shorter: int | None = None
    interpolation: Interpolation = "bilinear"
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    order: Order = "rgb"
    margin: int = 0
    regions: int = 0

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UserError: One of them makes no sense.
        """
        object.__setattr__(self, "mean", tuple(_number(value) for value in self.mean))
        object.__setattr__(self, "std", tuple(_number(value) for value in self.std))
        problem = self._problem()
        if problem:
            raise UserError(problem, where="preprocessing")

    def _problem(self) -> str | None:
        sides = [self.height, self.width] if self.shorter is None else [self.height, self.width, self.shorter]
        if not all(_whole(side) and 0 < side <= _MAX_SIDE for side in sides):
            return f"the size {'×'.join(map(str, sides))} is not a whole number of pixels between 1 and {_MAX_SIDE:,}"
        if self.height * self.width > _MAX_PIXELS:
            return f"the size {self.height}×{self.width} is more than {_MAX_PIXELS:,} pixels"
        if not _whole(self.channels) or self.channels not in (1, 3):
            return f"{self.channels} channels: an image can be given as 1 (grey) or 3 (RGB)"
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            return f"mean and std need {counted(self.channels, 'value')}, one a channel"
        if not all(np.isfinite(self.mean)) or not all(0 < value < np.inf for value in self.std):
            return "mean and std must be finite, and std above zero"
        if self.fit not in get_args(Fit) or self.interpolation not in _RESAMPLING:
            return f"unknown fit {self.fit!r} or interpolation {self.interpolation!r}"
        if self.order not in get_args(Order) or (self.order == "bgr" and self.channels != 3):
            return f"the channel order {self.order!r} does not suit {counted(self.channels, 'channel')}"
        if (self.fit == "crop") != (self.shorter is not None):
            return "'shorter' belongs to the fit 'crop', and only to it"
        if not _whole(self.margin) or not 0 <= 2 * self.margin < min(self.height, self.width):
            return f"a margin of {self.margin} leaves nothing of {self.height}×{self.width}"
        if self.margin and self.fit != "whole":
            return "'margin' belongs to the fit 'whole', and only to it"
        if not _whole(self.regions) or not 0 <= self.regions <= _MOST_REGIONS:
            return f"{self.regions!r} regions"
        if self.regions and self.fit == "whole":
            return "regions are proposed of images of one size, not of whole ones"
        if self.shorter is not None and self.shorter < max(self.height, self.width):
            return f"cannot cut {self.height}×{self.width} out of an image whose shorter side is {self.shorter}"
        if self.shorter is not None and self.shorter > _MOST_ENLARGED * max(self.height, self.width):
            return f"a shorter side of {self.shorter} is too long to cut {self.height}×{self.width} out of"
        return None

    @property
    def shape(self) -> tuple[int, ...]:
        """See `InputTransform.shape`; of whole images, that of what the network learnt from at a time."""
        return self.channels, self.height, self.width

    def check(self, value: NDArray[Any]) -> None:
        """See `InputTransform.check`."""
        if value.dtype != np.uint8 or value.ndim != 3 or value.shape[2] != 3 or not value.size:
            raise UserError(f"an array of {value.dtype} {value.shape} is no image (H, W, 3) of uint8")

    def load(self, path: Path) -> NDArray[np.uint8]:
        """See `InputTransform.load`."""
        return read_image(path)

    def given(self, value: Any) -> NDArray[Any]:
        """See `InputTransform.given`; a picture of Pillow, too."""
        return super().given(pixels_of(value) if isinstance(value, Image.Image) else value)

    def place(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Geometry: ``(H, W, 3)`` uint8 RGB to ``(height, width, channels)`` uint8; ``(H, W, channels)`` if whole."""
        picture = Image.fromarray(image)
        if self.channels == 1:
            picture = picture.convert("L")
        if self.fit == "whole":
            return np.asarray(picture, dtype=np.uint8).reshape(*image.shape[:2], self.channels)
        resampling = _RESAMPLING[self.interpolation]
        if self.fit == "stretch":
            picture = picture.resize((self.width, self.height), resampling)
        elif self.fit == "crop":
            assert self.shorter is not None
            picture = _without_far_ends(picture)
            # As torchvision and timm compute it, to the last bit, so that their weights see the same.
            size = [int(self.shorter * side / min(picture.size)) for side in picture.size]
            picture = picture.resize((size[0], size[1]), resampling)
            left, top = round((size[0] - self.width) / 2), round((size[1] - self.height) / 2)
            picture = picture.crop((left, top, left + self.width, top + self.height))
        else:
            scale = min(self.width / picture.width, self.height / picture.height)
            size = [max(1, round(scale * side)) for side in picture.size]
            inner = picture.resize((size[0], size[1]), resampling)
            picture = Image.new(picture.mode, (self.width, self.height), "white")
            picture.paste(inner, ((self.width - size[0]) // 2, (self.height - size[1]) // 2))
        return np.asarray(picture, dtype=np.uint8).reshape(self.height, self.width, self.channels)

    def normalise(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Arithmetic: ``(N, height, width, channels)`` uint8 to ``(N, channels, height, width)`` float32."""
        if self.order == "bgr":
            batch = batch[..., ::-1]
        std = np.asarray(self.std, dtype=np.float64)
        scale = (1 / (255 * std)).astype(np.float32)
        shift = (-np.asarray(self.mean, dtype=np.float64) / std).astype(np.float32)
        result = aligned((len(batch), self.channels, *batch.shape[1:3]))
        for channel in range(self.channels):
            np.multiply(batch[..., channel], scale[channel], out=result[:, channel])
            result[:, channel] += shift[channel]
        return result

    def beside(self, placed: Iterable[NDArray[np.uint8]]) -> tuple[NDArray[np.float32], ...]:
        """What a network is given beside the pixels of images: ``(N, regions, 4)``, as shares; or nothing.

        Args:
            placed: By `place`.
        """
        return (np.stack([selective_search(image, self.regions) for image in placed]),) if self.regions else ()

    def picture(self, value: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """See `InputTransform.picture`: the image as it is."""
        return value

    def to_json(self) -> dict[str, Any]:
        """The values, for the card."""
        return {name: value for name, value in asdict(self).items() if name not in ("margin", "regions") or value}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Preprocess:
        """The opposite of `to_json`.

        Raises:
            UserError: The values are not those of a preprocessing.
        """
        try:
            return cls(**values)
        except (TypeError, ValueError, OverflowError) as error:
            raise UserError(f"not a preprocessing: {error}") from error


def _whole(value: object) -> bool:
    return type(value) is int  # True is an int, too


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def _without_far_ends(picture: Image.Image) -> Image.Image:
    most = THINNEST * min(picture.size)
    width, height = min(picture.width, most), min(picture.height, most)
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    return picture.crop((left, top, left + width, top + height))
