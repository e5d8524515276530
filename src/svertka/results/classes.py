"""What an image shows as a whole: a class, none, or several labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svertka.results.result import Result, titled


@dataclass(frozen=True)
class ClassScore:
    """A class and its probability."""

    name: str
    score: float


@dataclass(frozen=True)
class Classes(Result):
    """Classes with their probabilities, the likeliest first.

    Raises:
        ValueError: There is no class, a probability is not between 0 and 1, or the order is wrong.
    """

    classes: tuple[ClassScore, ...]
    printed: int = 3
    """How many are in its line of text, at most."""

    def __post_init__(self) -> None:
        scores = [entry.score for entry in self.classes]
        if not scores:
            raise ValueError("a classification names at least one class")
        if not all(math.isfinite(score) and 0 <= score <= 1 for score in scores):
            raise ValueError(f"probabilities lie between 0 and 1, these do not: {scores}")
        if scores != sorted(scores, reverse=True):
            raise ValueError("the likeliest class comes first")

    @property
    def best(self) -> ClassScore:
        """The likeliest class."""
        return self.classes[0]

    def to_json(self) -> dict[str, Any]:
        return {"classes": [{"name": entry.name, "score": entry.score} for entry in self.classes]}

    def named(self) -> list[tuple[str, float]]:
        return [(self.best.name, self.best.score)]

    def first(self, count: int) -> Classes:
        return Classes(self.classes[:count], printed=count)

    def line(self) -> str:
        return ", ".join(f"{entry.name} ({entry.score:.1%})" for entry in self.classes[: self.printed])

    def draw(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return titled(image, f"{self.best.name} {self.best.score:.0%}")


@dataclass(frozen=True)
class NoneOfThese(Result):
    """The image is none of the classes: it is farther from all of them than nearly all images that are.

    Attributes:
        distance: From the nearest class mean.
        limit: The largest distance at which an image is given a class.
        nearest: What it would have been called, the likeliest first.

    Raises:
        ValueError: The distance is no number above the limit, or what is nearest is no classification.
    """

    distance: float
    limit: float
    nearest: Classes

    def __post_init__(self) -> None:
        if not (math.isfinite(self.distance) and 0 <= self.limit < self.distance):
            raise ValueError(f"a distance above its limit, not {self.distance} and {self.limit}")

    def to_json(self) -> dict[str, Any]:
        return {
            "classes": [],
            "none_of_these": {
                "distance": self.distance,
                "limit": self.limit,
                "nearest": self.nearest.to_json()["classes"],
            },
        }

    def first(self, count: int) -> NoneOfThese:
        return NoneOfThese(self.distance, self.limit, self.nearest.first(count))

    def line(self) -> str:
        best = self.nearest.best
        return (
            f"none of these (distance {self.distance:.2f}, known up to {self.limit:.2f}; "
            f"nearest: {best.name}, {best.score:.1%})"
        )

    def draw(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return titled(image, "none of these")


@dataclass(frozen=True)
class LabelScore:
    """A label, its probability, and the probability from which on it is said to be there."""

    name: str
    score: float
    threshold: float

    @property
    def given(self) -> bool:
        """Whether the image has it."""
        return self.score >= self.threshold


@dataclass(frozen=True)
class Labels(Result):
    """Labels with their probabilities, the likeliest first; an image has any number of them.

    Raises:
        ValueError: There is no label, a number is not between 0 and 1, or the order is wrong.
    """

    scores: tuple[LabelScore, ...]

    def __post_init__(self) -> None:
        if not self.scores:
            raise ValueError("there is at least one label to choose from")
        numbers = [number for entry in self.scores for number in (entry.score, entry.threshold)]
        if not all(math.isfinite(number) and 0 <= number <= 1 for number in numbers):
            raise ValueError(f"probabilities lie between 0 and 1, these do not: {numbers}")
        if [entry.score for entry in self.scores] != sorted((entry.score for entry in self.scores), reverse=True):
            raise ValueError("the likeliest label comes first")

    @property
    def given(self) -> tuple[LabelScore, ...]:
        """Those that the image has, the likeliest first."""
        return tuple(entry for entry in self.scores if entry.given)

    def to_json(self) -> dict[str, Any]:
        return {"labels": [entry.name for entry in self.given], "scores": [vars(entry) for entry in self.scores]}

    def named(self) -> list[tuple[str, float]]:
        return [(entry.name, entry.score) for entry in self.given]

    def first(self, count: int) -> Labels:
        return Labels(self.scores[:count])

    def line(self) -> str:
        if self.given:
            return ", ".join(f"{entry.name} ({entry.score:.1%})" for entry in self.given)
        nearest = max(self.scores, key=lambda entry: entry.score - entry.threshold)
        return f"none of the labels (nearest: {nearest.name}, {nearest.score:.1%} of {nearest.threshold:.1%})"

    def draw(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        names = ", ".join(f"{entry.name} {entry.score:.0%}" for entry in self.given)
        return titled(image, names or "none of the labels")
