"""Predictor: from decoded images, series or files to results, by an input transform, an engine and a decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from svertka.results import Result
from svertka.runtime.agreement import difference
from svertka.runtime.card import Card
from svertka.runtime.decoding import Outputs, decode
from svertka.runtime.engines import Engine
from svertka.runtime.inputs import InputTransform
from svertka.runtime.preprocess import Preprocess
from svertka.runtime.session import Session
from svertka.runtime.tiling import assemble, pieces
from svertka.task_records import record as task_records


class Placed(NamedTuple):
    """What is needed of an input.

    Attributes:
        values: As `InputTransform.place` gives them, or as they were.
        size: That it had when it was decoded, see `InputTransform.size`.
    """

    values: NDArray[Any]
    size: tuple[int, ...]


class Predictor:
    """Predicts with one engine.

    It takes arrays of the media type of its network: images ``(H, W, 3)`` uint8 RGB, or series ``(T, C)`` float32, of
    any sizes.

    Args:
        engine: What runs the network.
        card: The card of the network that it runs.
    """

    def __init__(self, engine: Engine, card: Card) -> None:
        self.engine = engine
        self.card = card

    def __call__(self, value: Any) -> Result:
        """The result for one input: an array of the media type, the path of a file, or a Pillow image.

        Raises:
            UserError: It is none that the network takes.
        """
        return self.predict([self.card.input.given(value)])[0]

    def session(self) -> Session:
        """A session, for inputs that come one after another, such as frames of a video."""
        card = self.card
        kind: type[Session] = task_records.resolve(task_records.record(card.task, card.provenance).session)
        return kind(self)

    @property
    def takes_pixels(self) -> bool:
        """Whether the graph prepares images itself."""
        return self.card.deployment is not None and self.card.deployment.pixels

    def raw(self, values: Sequence[NDArray[Any]]) -> Outputs:
        """Raw outputs for arrays of the media type; of one size, where they are taken whole."""
        if self.takes_pixels:
            each = [self.engine.run(value[None]) for value in values]
            return {name: np.concatenate([outputs[name] for outputs in each]) for name in each[0]}
        return raw_outputs(self.engine, self.card.input, values)

    def predict(self, values: Sequence[NDArray[Any]]) -> list[Result]:
        """A result an input, in order, for arrays of the media type."""
        if self.keeps_size:  # one after the other, so that no two are in memory
            return [result for value in values for result in self.predict_placed([self.place(value)])]
        return self.predict_placed([self.place(value) for value in values])

    @property
    def keeps_size(self) -> bool:
        """Whether all of an image's pixels are needed until it is answered."""
        return self.takes_pixels or _whole(self.card.input) is not None

    def place(self, value: NDArray[Any]) -> Placed:
        """What is needed of an array of the media type: all, where the graph itself does `Preprocess.place`."""
        transform = self.card.input
        return Placed(value if self.takes_pixels else transform.place(value), transform.size(value))

    def predict_placed(self, placed: Sequence[Placed]) -> list[Result]:
        """`predict`, of inputs as `place` gives them: what it takes away need not be kept."""
        if self.takes_pixels:
            return [result for one in placed for result in decode(self.raw([one.values]), self.card, [one.size])]
        whole = _whole(self.card.input)
        if whole is not None:
            return [self._in_pieces(one.values, whole) for one in placed]
        if not placed:
            return []
        outputs = _run_together(self.engine, self.card.input, np.stack([one.values for one in placed]))
        return decode(outputs, self.card, [one.size for one in placed])

    def _in_pieces(self, placed: NDArray[np.uint8], preprocess: Preprocess) -> Result:
        # Each is decoded before the next is run, so that there are never logits of a whole image.
        planes = _planes([placed])
        found = []
        height, width = placed.shape[:2]
        for piece in pieces(height, width, preprocess):
            outputs = _run_placed(self.engine, preprocess, piece.cut(planes))
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
                difference(self.raw([golden.input]), {name: value[None] for name, value in golden.outputs.items()})
                for golden in self.card.golden
            ),
            default=0.0,
        )


def raw_outputs(engine: Engine, transform: InputTransform, values: Sequence[NDArray[Any]]) -> Outputs:
    """Raw outputs for arrays of the media type; of one size, where they are taken whole."""
    placed = [transform.place(value) for value in values]
    whole = _whole(transform)
    if whole is None:
        return _run_together(engine, transform, np.stack(placed))
    return assemble(lambda cut: _run_placed(engine, whole, cut), _planes(placed), whole)


def _whole(transform: InputTransform) -> Preprocess | None:
    """The preprocessing of images that are taken whole, in pieces."""
    return transform if isinstance(transform, Preprocess) and transform.fit == "whole" else None


def _run_together(engine: Engine, transform: InputTransform, placed: NDArray[Any]) -> Outputs:
    if not (isinstance(transform, Preprocess) and transform.regions):
        return engine.run(transform.normalise(placed), *transform.beside(placed))
    # Hundreds of regions of each of several images would take gigabytes at once.
    alone = [engine.run(transform.normalise(one), *transform.beside(one)) for one in placed[:, None]]
    return {name: np.concatenate([outputs[name] for outputs in alone]) for name in alone[0]}


def _run_placed(engine: Engine, preprocess: Preprocess, planes: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    return dict(engine.run(preprocess.normalise(planes.transpose(0, 2, 3, 1))))


def _planes(placed: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    return np.stack(placed).transpose(0, 3, 1, 2)
