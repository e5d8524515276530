"""At which size trained weights take images."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from svertka.runtime.image import ImageError
from svertka.runtime.preprocess import Preprocess
from svertka.training.recipe import Recipe
from svertka.workflows import images as _images
from svertka.workflows.images import preprocess_of


@dataclass(frozen=True)
class Made:
    """An image of this size; of size nought, one that cannot be read."""

    height: int
    width: int

    def stamp(self) -> str:
        return f"{self.height} {self.width}"

    def load(self) -> tuple[NDArray[np.uint8], str]:
        if not self.height:
            raise ImageError("broken")
        return np.zeros((self.height, self.width, 3), np.uint8), self.stamp()


@pytest.fixture(autouse=True)
def weights(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Preprocess(height=224, width=224, mean=(0.5,) * 3, std=(0.2,) * 3)
    monkeypatch.setattr(_images, "_card", lambda _: SimpleNamespace(net="inception_v3", input=known))


RECIPE = Recipe.of({"net": "resnet18", "weights": "resnet18"})


@pytest.mark.parametrize(
    ("sizes", "side"),
    [
        ([(100, 100)] * 40, 128),
        ([(96, 60)] * 3, 128),
        ([(28, 28)] * 40, 128),
        ([(150, 130)] * 40, 160),
        ([(130, 150)] * 40, 160),
        ([(3000, 2000)] * 40, 224),
        ([(100, 100)] * 20 + [(3000, 2000)] * 3, 128),
        ([(100, 100)] * 3 + [(3000, 2000)] * 20, 224),
        ([(0, 0), (100, 100), (0, 0)], 128),
        ([(0, 0)] * 5, 224),
        ([], 224),
    ],
)
def test_images_are_not_made_larger_than_they_are_but_for_half_the_size_that_weights_know(
    sizes: list[tuple[int, int]], side: int
) -> None:
    found = preprocess_of(RECIPE, [Made(*size) for size in sizes])
    assert (found.height, found.width) == (side, side)


def test_a_size_that_is_asked_for_is_taken() -> None:
    assert preprocess_of(RECIPE.changed({"image_size": 96}), [Made(100, 100)]).height == 96


@pytest.mark.parametrize(
    ("net", "side"), [("inception_v3", 299), ("unet", 384), ("ssd", 320), ("ssd300", 300), ("yolo_v2", 416)]
)
def test_weights_of_an_odd_side_keep_it_where_images_are_larger(
    net: str, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network for masks takes pieces a quarter larger, in steps; a classifier takes no more than the weights know.

    One for boxes takes images of its own size.
    """
    known = Preprocess(height=299, width=299, mean=(0.5,) * 3, std=(0.2,) * 3)
    monkeypatch.setattr(_images, "_card", lambda _: SimpleNamespace(net="inception_v3", input=known))
    recipe = Recipe.of({"net": net, "weights": "inception_v3"})
    assert preprocess_of(recipe, [Made(3000, 2000)] * 20).height == side


def test_a_network_without_weights_keeps_its_size() -> None:
    assert preprocess_of(Recipe.of({"net": "resnet18"}), [Made(100, 100)]).height == 224
