"""From decoded images to results: preprocessing, an engine, a decoder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from svertka.results import Result
from svertka.runtime.card import Card
from svertka.runtime.decoders import Outputs, decode
from svertka.runtime.engines import Engine


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
        """Raw outputs for images ``(H, W, 3)`` uint8 RGB of any sizes."""
        return self.engine.run(self.card.preprocess(images))

    def predict(self, images: Sequence[NDArray[np.uint8]]) -> list[Result]:
        """A result an image, in order, for images ``(H, W, 3)`` uint8 RGB of any sizes."""
        return decode(self.raw(images), self.card) if images else []

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
