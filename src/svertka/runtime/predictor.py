"""From decoded images to results: preprocessing, an engine, a decoder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from svertka.results import Result
from svertka.runtime.card import Card
from svertka.runtime.decoders import Outputs, decode
from svertka.runtime.engines import Engine
from svertka.runtime.preprocess import Preprocess
from svertka.runtime.tiling import assemble, pieces


class Predictor:
    """Predicts with one engine.

    Args:
        engine: What runs the network.
        card: The card of the network that it runs.
    """

    def __init__(self, engine: Engine, card: Card) -> None:
        self.engine = engine
        self.card = card

    def raw(self, images: Sequence[NDArray[np.uint8]]) -> Outputs:
        """See `raw_outputs`."""
        return raw_outputs(self.engine, self.card.preprocess, images)

    def predict(self, images: Sequence[NDArray[np.uint8]]) -> list[Result]:
        """A result an image, in order, for images ``(H, W, 3)`` uint8 RGB of any sizes."""
        if self.card.preprocess.fit == "whole":
            return [self._in_pieces(image) for image in images]
        sizes = [(image.shape[0], image.shape[1]) for image in images]
        return decode(self.raw(images), self.card, sizes) if images else []

    def _in_pieces(self, image: NDArray[np.uint8]) -> Result:
        # Each is decoded before the next is run, so that there are never logits of a whole image.
        planes = _planes([self.card.preprocess.place(image)])
        found = []
        height, width = image.shape[:2]
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
        largest = 0.0
        for golden in self.card.golden:
            outputs = self.raw([golden.image])
            for name, expected in golden.outputs.items():
                if name not in outputs or outputs[name].shape != (1, *expected.shape):
                    return float("inf")
                difference = np.abs(outputs[name][0].astype(np.float64) - expected)
                # A nan anywhere is a difference, not the absence of one.
                largest = max(largest, float(np.nan_to_num(difference, nan=np.inf).max(initial=0.0)))
        return largest


def raw_outputs(engine: Engine, preprocess: Preprocess, images: Sequence[NDArray[np.uint8]]) -> Outputs:
    """Raw outputs for images ``(H, W, 3)`` uint8 RGB of any sizes; of one, where they are taken whole."""
    if preprocess.fit != "whole":
        placed = np.stack([preprocess.place(image) for image in images])
        if not preprocess.regions:
            return engine.run(preprocess.normalise(placed))
        # Hundreds of regions of each of several images would take gigabytes at once.
        alone = [engine.run(preprocess.normalise(one), *preprocess.beside(one)) for one in placed[:, None]]
        return {name: np.concatenate([outputs[name] for outputs in alone]) for name in alone[0]}
    planes = _planes([preprocess.place(image) for image in images])
    return assemble(lambda cut: _run_placed(engine, preprocess, cut), planes, preprocess)


def _run_placed(engine: Engine, preprocess: Preprocess, planes: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    return dict(engine.run(preprocess.normalise(planes.transpose(0, 2, 3, 1))))


def _planes(placed: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    return np.stack(placed).transpose(0, 3, 1, 2)
