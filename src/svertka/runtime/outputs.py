"""Output specification: what a network gives, as its card says, and whether an output is so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from svertka.errors import UserError
from svertka.wording import counted

LONGEST_CLASS = 4096
"""Characters that the name of a class can have."""

_MOST = 1 << 20  # classes, channels, or numbers of a vector
_LISTS = {"classes": "class", "values": "value", "keypoints": "keypoint"}
_COUNTS = {"channels": "channel", "vector": "number"}
_AXES: Final = {
    "logits": ("classes", 0),
    "scores": ("classes", -1),
    "picture": ("channels", 0),
    "vector": ("vector", 0),
    "values": ("values", 0),
    "keypoints": ("keypoints", 0),
}


@dataclass(frozen=True, kw_only=True)
class OutputSpec:
    """What a network gives; what is not given here, it does not give.

    It is held against the outputs of these names, without the batch axis: ``logits`` ``(classes, …)``, ``scores``
    ``(…, classes)``, ``picture`` ``(channels, …)``, ``vector`` ``(vector, …)``, ``values`` ``(values, …)``, and
    ``keypoints`` ``(keypoints, …)``. An output of another name can be anything.

    Attributes:
        classes: Class names in the order of the logits.
        channels: Of a picture.
        vector: Length of a vector that stands for the input.
        values: Names of numbers that are estimated.
        keypoints: Names of points.

    Raises:
        UserError: Nothing is given, or something that makes no sense.
    """

    classes: tuple[str, ...] = ()
    channels: int = 0
    vector: int = 0
    values: tuple[str, ...] = ()
    keypoints: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        problem = self._problem()
        if problem:
            raise UserError(problem)

    def _problem(self) -> str | None:
        for field, noun in _LISTS.items():
            names = getattr(self, field)
            if len(names) > _MOST:
                return f"{counted(len(names), noun)}, more than {_MOST:,}"
            if any(len(name) > LONGEST_CLASS for name in names):
                return f"a {noun} has a name of more than {LONGEST_CLASS:,} characters"
        for field, noun in _COUNTS.items():
            count = getattr(self, field)
            if type(count) is not int or not 0 <= count <= _MOST:
                return f"an output of {count!r} {noun}s"
        if not any(asdict(self).values()):
            return "it names no classes, and nothing else that its network gives"
        return None

    def instead(self, name: str, shape: Sequence[int | None]) -> str | None:
        """What is given instead of an output of this name and shape, such as ``3 classes``; None if it may be this.

        Args:
            name: Of the output.
            shape: Without the batch axis; None where it is free.
        """
        field, axis = _AXES.get(name, ("", 0))
        given = getattr(self, field, 0)
        count = given if isinstance(given, int) else len(given)
        if not count or (shape and shape[axis] in (None, count)):
            return None
        said = counted(count, _LISTS.get(field) or _COUNTS[field])
        return f"a vector of {said}" if field == "vector" else said

    def to_json(self) -> dict[str, Any]:
        """What is given, for the card."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> OutputSpec:
        """The opposite of `to_json`.

        Raises:
            UserError: What is given makes no sense.
            TypeError: A value is of another type.
        """
        given: dict[str, Any] = {name: _names(value) if name in _LISTS else value for name, value in values.items()}
        return cls(**given)


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise TypeError(f"{str(value)[:100]} is no list of names")
    return tuple(value)
