"""What every prediction can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from svertka.plugins import lacks
from svertka.results.colours import Colour, with_key


class Result(ABC):
    """A prediction for one input: it knows its JSON, and draws itself on the picture that the input is shown by.

    That picture is an image itself; of other media it is what their input transform makes of a value, such as the curve
    of a series. So a result need not know what it is a result of.
    """

    registers: ClassVar[str] = "result"

    schema: ClassVar[Mapping[str, Any] | None] = None
    """What `to_json` gives as a JSON schema, for the description of what is served; Svertka's own stand there."""

    located: ClassVar[bool] = False
    """Whether it says where things are, so that drawing it says more than its line."""

    columns: ClassVar[tuple[str, ...]] = ("prediction", "score")
    """What `rows` have."""

    @classmethod
    def check_parts(cls) -> None:
        """See `svertka.plugins.Registrable.check_parts`."""
        if cls.__abstractmethods__:
            raise lacks("result", cls.__name__, sorted(cls.__abstractmethods__)[0], "a method that every result has")
        if cls.schema is not None and not isinstance(cls.schema, Mapping):
            raise lacks("result", cls.__name__, "schema", "a JSON schema, as a dict")

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The prediction as a JSON object."""

    @abstractmethod
    def line(self) -> str:
        """The prediction in one line of text."""

    def draw(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The prediction drawn on a copy of the input's picture, ``(H, W, 3)`` uint8 RGB: as its line, by default.

        A result that is a picture itself, such as one that was generated, may give another in its place.
        """
        return titled(picture, self.line())

    def key(self) -> list[tuple[str, Colour]]:
        """The classes that `draw` shows by a colour, with that colour."""
        return []

    def shown(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The prediction drawn, and below the picture the key to its colours, where it has any."""
        return with_key(self.draw(picture), self.key())

    def named(self) -> list[tuple[str, float]]:
        """What it says is there, for a line of a table: names with their scores or shares, the largest first."""
        return []

    def first(self, count: int) -> Result:
        """The same prediction with so many of its classes, labels or boxes at most, the likeliest.

        Raises:
            ValueError: It has no such order.
        """
        raise ValueError(f"{type(self).__name__.lower()} has no order of scores, of which {count} could come first")

    def rows(self) -> list[tuple[str, ...]]:
        """Lines of a table of predictions; several names in one cell have semicolons between them."""
        named = self.named()
        return [(";".join(name for name, _ in named), ";".join(f"{score:.6f}" for _, score in named))]

    def pictures(self, picture: NDArray[np.uint8]) -> dict[str, Image.Image]:
        """What can be kept of it as pictures, by name: drawn on the input's picture, at least."""
        return {"drawn": Image.fromarray(self.shown(picture))}

    def joined(self, pieces: Sequence[tuple[slice, slice, Result]], height: int, width: int) -> Result:
        """The prediction for an image of which there are predictions in pieces.

        Args:
            pieces: Rows, columns, and what was predicted for them; this is the first.
            height, width: Of the image.

        Raises:
            ValueError: What is said of a piece is nothing that can be said of a whole.
        """
        del height, width
        if len(pieces) > 1:
            raise ValueError(f"{type(self).__name__} cannot be put together")
        return self


def titled(image: NDArray[np.uint8], title: str) -> NDArray[np.uint8]:
    """A copy of an image ``(H, W, 3)`` with a line of text in its upper left corner."""
    picture = Image.fromarray(image)
    size = max(10, picture.height // 20)
    font = ImageFont.load_default(size)
    draw = ImageDraw.Draw(picture)
    box = draw.textbbox((0, 0), title, font=font)
    draw.rectangle((0, 0, box[2] + size // 2, box[3] + size // 4), fill="black")
    draw.text((size // 4, 0), title, fill="white", font=font)
    return np.asarray(picture)
