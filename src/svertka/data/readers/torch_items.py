"""A torch.utils.data.Dataset of image and target as a data set: nothing is written, and nothing kept but digests."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from svertka.data.samples import Dataset, Sample
from svertka.errors import UserError
from svertka.runtime.image import MAX_PIXELS, ImageError
from svertka.wording import counted

if TYPE_CHECKING:
    import torch

_MOST = 10_000_000  # items
_LEVELS = 255
_SHOWN = 60  # characters of what was found
_CLASSES = "classes"  # the attribute in which torchvision's data sets have the names of their classes


@dataclass(frozen=True, slots=True)
class Item:
    """The image of an item. Digest and stamp are of its pixels, so that equal images are known as such.

    Attributes:
        items: The torch data set.
        number: Of the item.
        digest: Of the pixels that it had when the data set was opened.
        lock: Items are asked for one at a time: not every data set can be read by several threads.
    """

    items: torch.utils.data.Dataset[Any] = field(repr=False, compare=False)
    number: int
    digest: str
    lock: Any = field(repr=False, compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self.items, self.number, self.digest)

    def stamp(self) -> str:
        """See `svertka.annotations.Source.stamp`."""
        return f"pixels {self.digest}"

    def load(self) -> tuple[NDArray[np.uint8], str]:
        """See `svertka.annotations.Source.load`.

        Raises:
            UserError: The item is another image than when the data set was opened.
        """
        with self.lock:
            image = _image(self.items[self.number][0], self.number)
        if _digest(image) != self.digest:
            raise UserError(
                f"item {self.number} is another image each time",
                mend="leave random transforms out of the data set; augment= changes images",
            )
        return image, self.digest


def read_items(items: torch.utils.data.Dataset[Any]) -> Dataset:
    """Read a torch data set whose items are image and target.

    Args:
        items: Each item is an image and a target. The image is a PIL image, an array ``(H, W, 3)`` or ``(H, W)`` uint8,
            or a tensor ``(C, H, W)``, uint8 or between 0 and 1. The target is the number of a class, which the
            attribute ``classes`` of the data set may name, or the class itself.

    Raises:
        UserError: It has no length, or an item is something else.
    """
    count = _length(items)
    names, lock, samples = _class_names(items), threading.Lock(), []
    for number in range(count):
        try:
            item = items[number]
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"item {number} of the data set cannot be had: {type(error).__name__}: {error}") from error
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise UserError(f"item {number} of the data set is {type(item).__name__}", mend="give image and target")
        image = _image(item[0], number)
        target = _label(item[1], names, number)
        samples.append(Sample(f"item {number:07d}", Item(items, number, _digest(image), lock), target))
    title = f"{type(items).__name__}, a torch data set"
    return Dataset(Path(type(items).__name__), title, {"all": samples}, classes=names)


def _rebuilt(items: torch.utils.data.Dataset[Any], number: int, digest: str) -> Item:
    # In another process, with a lock of its own.
    return Item(items, number, digest, threading.Lock())


def _length(items: Any) -> int:
    try:
        count = len(items)
    except (TypeError, ValueError):  # none, or a negative one
        raise UserError(
            f"{type(items).__name__} has no length",
            mend="give a data set with __len__ and __getitem__; streams are not read",
        ) from None
    if not 0 < count <= _MOST:
        raise UserError(f"{type(items).__name__} has {count:,} items", mend=f"give at least one, at most {_MOST:,}")
    return int(count)


def _class_names(items: Any) -> tuple[str, ...]:
    # A subset has those of what it is a part of.
    for _ in range(16):
        names = getattr(items, _CLASSES, None)
        if names is not None:
            return _checked_names(names, type(items).__name__)
        items = getattr(items, "dataset", None)
    return ()


def _checked_names(names: Any, whose: str) -> tuple[str, ...]:
    if isinstance(names, str) or not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise UserError(
            f"the attribute {_CLASSES} of {whose} is {str(names)[:_SHOWN]}", mend="make it a list of the classes' names"
        )
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None or not all(name.strip() for name in names):
        what = "has an empty name" if twice is None else f"names {twice!r} twice"
        raise UserError(f"the attribute {_CLASSES} of {whose} {what}", mend="give each class a name of its own")
    return tuple(names)


def _label(target: Any, names: tuple[str, ...], number: int) -> str:
    if isinstance(target, str):
        return target
    if hasattr(target, "item") and getattr(target, "ndim", None) == 0:
        target = target.item()
    if isinstance(target, bool) or not isinstance(target, int | np.integer):
        raise UserError(
            f"the target of item {number} is {type(target).__name__}", mend="give the number of a class, or its name"
        )
    if not names:
        return str(target)
    if not 0 <= target < len(names):
        raise UserError(f"the target of item {number} is {target}, of {counted(len(names), 'class')}")
    return names[target]


def _image(value: Any, number: int) -> NDArray[np.uint8]:
    """The image ``(H, W, 3)`` uint8 RGB."""
    size = (value.height, value.width) if isinstance(value, Image.Image) else _size(value, number)
    if not 0 < size[0] * size[1] <= MAX_PIXELS:
        raise ImageError(
            f"item {number} is an image of {size[1]}×{size[0]} pixels", mend=f"give 1 to {MAX_PIXELS:,} pixels"
        )
    if isinstance(value, Image.Image):
        if value.mode[0] in "IF":  # pillow would cut off what does not fit into eight bits
            what = f"the image of item {number} has numbers of more than eight bits (mode {value.mode})"
            raise UserError(what, mend="scale it to eight bits, or give an array of uint8")
        return np.array(value.convert("RGB"))
    array = np.asarray(value)
    if _is_tensor(value):
        array = np.moveaxis(value.detach().cpu().numpy(), 0, -1)
        if np.issubdtype(array.dtype, np.floating):
            array = _from_fractions(array, number)
    if array.dtype != np.uint8:
        raise UserError(
            f"the image of item {number} is of {array.dtype}", mend="give uint8, or a tensor between 0 and 1"
        )
    if array.ndim == 2:
        array = array[:, :, None]
    return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)))


def _size(value: Any, number: int) -> tuple[int, int]:
    shape = tuple(getattr(value, "shape", ()))
    if _is_tensor(value) and len(shape) == 3 and shape[0] in (1, 3):
        return int(shape[1]), int(shape[2])
    if isinstance(value, np.ndarray) and (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3))):
        return shape[0], shape[1]
    what = f"{type(value).__name__} {shape}" if shape else type(value).__name__
    raise UserError(
        f"the image of item {number} is {what}",
        mend="give a PIL image, an array (H, W, 3) or (H, W) uint8, or a tensor (C, H, W) of 1 or 3 channels",
    )


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "detach") and hasattr(value, "cpu")


def _from_fractions(array: NDArray[Any], number: int) -> NDArray[np.uint8]:
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 1):  # NaN is refused as well
        raise UserError(
            f"the image of item {number} has values from {low:.3g} to {high:.3g}",
            mend="give it between 0 and 1, before it is normalised: the model does that",
        )
    return np.round(array * _LEVELS).astype(np.uint8)


def _digest(image: NDArray[np.uint8]) -> str:
    total = hashlib.blake2b(f"{image.shape}".encode(), digest_size=16)
    total.update(image.tobytes())
    return total.hexdigest()
