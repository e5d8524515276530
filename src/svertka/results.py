"""What a prediction is. Every kind checks itself when built, turns itself into JSON, draws itself, and says itself."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont


class Result(ABC):
    """A prediction for one image."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The prediction as a JSON object."""

    @abstractmethod
    def line(self) -> str:
        """The prediction in one line of text."""

    @abstractmethod
    def draw(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The prediction drawn on a copy of its image, ``(H, W, 3)`` uint8 RGB."""


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

    def line(self, most: int = 3) -> str:
        return ", ".join(f"{entry.name} ({entry.score:.1%})" for entry in self.classes[:most])

    def draw(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        picture = Image.fromarray(image)
        size = max(10, picture.height // 20)
        font = ImageFont.load_default(size)
        label = f"{self.best.name} {self.best.score:.0%}"
        draw = ImageDraw.Draw(picture)
        box = draw.textbbox((0, 0), label, font=font)
        draw.rectangle((0, 0, box[2] + size // 2, box[3] + size // 4), fill="black")
        draw.text((size // 4, 0), label, fill="white", font=font)
        return np.asarray(picture)
