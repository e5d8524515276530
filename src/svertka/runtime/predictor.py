"""From decoded images to results: preprocessing, an engine, a decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from svertka.results import Result
from svertka.runtime.agreement import difference
from svertka.runtime.card import Card
from svertka.runtime.decoding import Outputs, decode
from svertka.runtime.engines import Engine
from svertka.runtime.preprocess import Preprocess
from svertka.runtime.tiling import assemble, pieces


class Placed(NamedTuple):
    """What is needed of an image.

    Attributes:
        pixels: ``(H, W, 3)`` uint8 RGB, as `Preprocess.place` gives them, or as they were.
        size: Height and width that the image had.
    """

    pixels: NDArray[np.uint8]
    size: tuple[int, int]


class Predictor:
    """Predicts with one engine.

    Args:
        engine: What runs the network.
        card: The card of the network that it runs.
    """

    def __init__(self, engine: Engine, card: Card) -> None:
        self.engine = engine
        self.card = card

    @property
    def takes_pixels(self) -> bool:
        """Whether the graph prepares images itself."""
        return self.card.deployment is not None and self.card.deployment.pixels

    def raw(self, images: Sequence[NDArray[np.uint8]]) -> Outputs:
        """Raw outputs for images ``(H, W, 3)`` uint8 RGB of any sizes; of one, where they are taken whole."""
        if self.takes_pixels:
            each = [self.engine.run(image[None]) for image in images]
            return {name: np.concatenate([outputs[name] for outputs in each]) for name in each[0]}
        return raw_outputs(self.engine, self.card.preprocess, images)

    def predict(self, images: Sequence[NDArray[np.uint8]]) -> list[Result]:
        """A result an image, in order, for images ``(H, W, 3)`` uint8 RGB of any sizes."""
        if self.keeps_size:  # one after the other, so that no two are in memory
            return [result for image in images for result in self.predict_placed([self.place(image)])]
        return self.predict_placed([self.place(image) for image in images])

    @property
    def keeps_size(self) -> bool:
        """Whether all of an image's pixels are needed until it is answered."""
        return self.takes_pixels or self.card.preprocess.fit == "whole"

    def place(self, image: NDArray[np.uint8]) -> Placed:
        """What is needed of an image ``(H, W, 3)`` uint8 RGB: all, where the graph itself does `Preprocess.place`."""
        pixels = image if self.takes_pixels else self.card.preprocess.place(image)
        return Placed(pixels, (image.shape[0], image.shape[1]))

    def predict_placed(self, placed: Sequence[Placed]) -> list[Result]:
        """`predict`, of images as `place` gives them: what it takes away need not be kept."""
        if self.takes_pixels:
            return [result for one in placed for result in decode(self.raw([one.pixels]), self.card, [one.size])]
        if self.card.preprocess.fit == "whole":
            return [self._in_pieces(one.pixels) for one in placed]
        if not placed:
            return []
        outputs = _run_together(self.engine, self.card.preprocess, np.stack([one.pixels for one in placed]))
        return decode(outputs, self.card, [one.size for one in placed])

    def _in_pieces(self, placed: NDArray[np.uint8]) -> Result:
        # Each is decoded before the next is run, so that there are never logits of a whole image.
        planes = _planes([placed])
        found = []
        height, width = placed.shape[:2]
        for piece in pieces(height, width, self.card.preprocess):
            outputs = _run_placed(self.engine, self.card.preprocess, piece.cut(planes))
            answers = {name: piece.answer(output) for name, output in outputs.items()}
            size = piece.rows.stop - piece.rows.start, piece.columns.stop - piece.columns.start
            found.append((piece.rows, piece.columns, decode(answers, self.card, [size])[0]))
        return found[0][2].joined(found, height, width)

    def golden_difference(self) -> float:
        """Largest absolute difference between the golden outputs on the card and what the engine gives now.

        Infinite where an output has another name or shape.
        """
        return max(
            (
                difference(self.raw([golden.image]), {name: value[None] for name, value in golden.outputs.items()})
                for golden in self.card.golden
            ),
            default=0.0,
        )


def raw_outputs(engine: Engine, preprocess: Preprocess, images: Sequence[NDArray[np.uint8]]) -> Outputs:
    """Raw outputs for images ``(H, W, 3)`` uint8 RGB of any sizes; of one, where they are taken whole."""
    if preprocess.fit != "whole":
        return _run_together(engine, preprocess, np.stack([preprocess.place(image) for image in images]))
    planes = _planes([preprocess.place(image) for image in images])
    return assemble(lambda cut: _run_placed(engine, preprocess, cut), planes, preprocess)


def _run_together(engine: Engine, preprocess: Preprocess, placed: NDArray[np.uint8]) -> Outputs:
    if not preprocess.regions:
        return engine.run(preprocess.normalise(placed))
    # Hundreds of regions of each of several images would take gigabytes at once.
    alone = [engine.run(preprocess.normalise(one), *preprocess.beside(one)) for one in placed[:, None]]
    return {name: np.concatenate([outputs[name] for outputs in alone]) for name in alone[0]}


def _run_placed(engine: Engine, preprocess: Preprocess, planes: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    return dict(engine.run(preprocess.normalise(planes.transpose(0, 2, 3, 1))))


def _planes(placed: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    return np.stack(placed).transpose(0, 3, 1, 2)
