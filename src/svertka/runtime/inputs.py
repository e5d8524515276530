"""Input transforms: how what is decoded, an image or a series, becomes what a network takes. One class a media type."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from svertka.errors import UserError, nearest
from svertka.plugins import Registry, lacks
from svertka.task_records.record import resolve

_ALIGNMENT = 64  # bytes: what the widest vector instructions and their caches go by
_SHOWN = 60  # characters of a name that stands in a file


class InputTransform(ABC):
    """From an array of a media type to an input of a network: geometry first (`place`), then arithmetic (`normalise`).

    It stands on the card, and so is checked where it is made, and knows its JSON.
    """

    registers: ClassVar[str] = "media type"

    media: ClassVar[str] = ""
    """The media type, such as ``image`` or ``series``."""

    suffixes: ClassVar[Collection[str]] = ()
    """What files of the media type end in."""

    graph_input: ClassVar[str] = ""
    """What the input of an exported graph is called."""

    @classmethod
    def check_parts(cls) -> None:
        """See `svertka.plugins.Registrable.check_parts`."""
        if cls.__abstractmethods__:
            raise lacks("media type", cls.media, sorted(cls.__abstractmethods__)[0], "a method that each has")
        if not cls.graph_input.isidentifier():
            raise lacks("media type", cls.media, "graph_input", "what the input of an exported graph is called")

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of one input, channels first: ``(C, H, W)``, ``(C, T)``."""

    @abstractmethod
    def check(self, value: NDArray[Any]) -> None:
        """See that an array is of the media type, and one that can be made an input.

        Raises:
            UserError: It is not.
        """

    @abstractmethod
    def load(self, path: Path) -> NDArray[Any]:
        """The array of the media type in a file.

        Raises:
            UserError: There is no such file, or it holds none.
        """

    def given(self, value: Any) -> NDArray[Any]:
        """The array of the media type that a person hands in, as a path or as an array, checked.

        Raises:
            UserError: It is none.
        """
        array = self.load(Path(value)) if isinstance(value, str | PathLike) else np.asarray(value)
        self.check(array)
        return array

    @abstractmethod
    def place(self, value: NDArray[Any]) -> NDArray[Any]:
        """Geometry: an array of the media type to one of the input's size, channels last."""

    @abstractmethod
    def normalise(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Arithmetic: a batch of what `place` gives to inputs ``(N, *shape)``, float32."""

    def size(self, value: NDArray[Any]) -> tuple[int, ...]:
        """Size of a decoded array before it is placed: ``(H, W)``, ``(T,)``."""
        return value.shape[:-1]

    def beside(self, placed: Iterable[NDArray[Any]]) -> tuple[NDArray[np.float32], ...]:
        """What a network is given beside such inputs, by their `place`; nothing, unless a transform says otherwise."""
        del placed
        return ()

    def __call__(self, values: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """Arrays of the media type, of any sizes, to one batch ``(N, *shape)`` float32."""
        return self.normalise(np.stack([self.place(value) for value in values]))

    @abstractmethod
    def picture(self, value: NDArray[Any]) -> NDArray[np.uint8]:
        """What a person is shown of an array of the media type, ``(H, W, 3)`` uint8 RGB."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The values, for the card."""

    @classmethod
    @abstractmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """The opposite of `to_json`.

        Raises:
            UserError: The values are not those of such a transform.
        """


def aligned(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Room for a batch of inputs, where vector instructions like it.

    Kernels sum in another order where memory begins elsewhere, and then the last bit differs from run to run.
    """
    size = 4 * math.prod(shape)
    room = np.empty(size + _ALIGNMENT, np.uint8)
    start = -room.ctypes.data % _ALIGNMENT
    return room[start : start + size].view(np.float32).reshape(shape)


def _own() -> tuple[type[InputTransform], ...]:
    # By name, since these build on this file.
    return resolve("svertka.runtime.preprocess:Preprocess"), resolve("svertka.runtime.series:SeriesTransform")


OWN = {"media type": _own}
"""Svertka's own things for `svertka.plugins`, by kind."""

_TRANSFORMS: Registry[type[InputTransform]] = Registry("media type")


class UnknownMediaError(UserError):
    """A card is of a network that takes what nobody here has registered."""


def input_json(transform: InputTransform) -> dict[str, Any]:
    """An input transform as cards have it, with its media type."""
    return {"media": transform.media, **transform.to_json()}


def transform_from_json(media: str, values: dict[str, Any]) -> InputTransform:
    """The input transform of a media type from the values that a card has for it.

    Raises:
        UnknownMediaError: Nobody has registered the media type.
        UserError: The values are not those of its transform.
    """
    if media not in _TRANSFORMS:
        what = f"its network takes the media type {media[:_SHOWN]!r}, which is unknown here"
        raise UnknownMediaError(what, mend=nearest(media[:_SHOWN], _TRANSFORMS))
    return _TRANSFORMS[media].from_json(values)
