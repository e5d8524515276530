"""The models that are served: each proven before it answers, and replaced without a request noticing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svertka.errors import UserError, nearest
from svertka.results import Result
from svertka.runtime.card import image_input
from svertka.runtime.predictor import Placed, Predictor
from svertka.serving.measuring import SIZES, batch_seconds, best_batch
from svertka.serving.refusals import RefusedError
from svertka.wording import counted, rate_text

Image = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Explanation:
    """Where in an image the reasons for a class are.

    Attributes:
        name: The class.
        layer: Whose maps say it.
        picture: ``(H, W, 3)`` uint8 RGB: the image as the network sees it, under colours.
    """

    name: str
    layer: str
    picture: Image


Explain = Callable[[Image, str | None], Explanation]
"""Explains a class, or the likeliest one, in an image ``(H, W, 3)``."""


@dataclass(frozen=True)
class Opened:
    """A model as it is handed in.

    Attributes:
        predictor: Answers.
        files: What it was read from; the first is the one that answers.
        explain: Explains; None where nothing can.
        unexplained: Why nothing can.
    """

    predictor: Predictor
    files: tuple[Path, ...]
    explain: Explain | None = None
    unexplained: str = ""


Open = Callable[[], Opened]
"""Opens a model, the first time and whenever it is to be read again."""


@dataclass(frozen=True, eq=False)
class Model:
    """A model that has proven itself.

    Attributes:
        name: What requests call it.
        opened: As it was handed in.
        difference: Largest difference from its golden outputs; None where it has none.
        seconds: Of a batch, by its size.
        batch: Images that are run at a time, at most.
        generation: How many have had this name; counted from 1 on.
    """

    name: str
    opened: Opened
    difference: float | None
    seconds: Mapping[int, float] = field(repr=False)
    batch: int
    generation: int

    @property
    def whole(self) -> bool:
        """Whether images keep their size, and all of their pixels are kept until they are answered."""
        return self.opened.predictor.keeps_size

    @property
    def rate(self) -> float:
        """Images a second, as measured when it was opened."""
        return self.batch / max(self.seconds[self.batch], 1e-9)

    @property
    def precision(self) -> str:
        """What is calculated in."""
        deployment = self.opened.predictor.card.deployment
        return "fp32" if deployment is None else deployment.precision

    def place(self, image: Image) -> Placed:
        """See `Predictor.place`."""
        return self.opened.predictor.place(image)

    def predict(self, placed: Sequence[Placed]) -> list[Result]:
        """See `Predictor.predict_placed`."""
        return self.opened.predictor.predict_placed(placed)

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        card = self.opened.predictor.card
        return {
            "name": self.name,
            "file": self.opened.files[0].name,
            "task": card.task,
            "classes": list(card.classes),
            "net": card.net,
            "preprocess": card.input.to_json(),
            "licence": card.licence,
            "metrics": dict(card.metrics),
            "provenance": dict(card.provenance),
            "weights": card.weights,
            "engine": self.opened.predictor.engine.name,
            "precision": self.precision,
            "golden": {"inputs": len(card.golden), "largest_difference": self.difference},
            "batch": self.batch,
            "images_per_second": float(f"{self.rate:.3g}"),
            "batch_seconds": {str(size): round(seconds, 6) for size, seconds in self.seconds.items()},
            "explains": self.opened.explain is not None,
            "unexplained": self.opened.unexplained or None,
            "generation": self.generation,
        }


def prove(name: str, opened: Opened, generation: int) -> Model:
    """Let a model give its golden outputs, and time it.

    Raises:
        UserError: They are not what the model file says.
    """
    predictor = opened.predictor
    card = predictor.card
    preprocess = image_input(card, where=opened.files[0])
    difference = None
    if card.golden:
        difference = predictor.golden_difference()
        if not difference <= card.tolerance:
            raise UserError(
                f"its outputs differ by {difference:.2g} from the golden ones it brings along",
                where=opened.files[0],
                mend="run `svertka verify` on it",
            )
    # Whole images are of any size, and run one by one.
    whole = predictor.keeps_size
    grey = np.full((preprocess.height, preprocess.width, 3), 128, np.uint8)
    example = predictor.place(card.golden[0].input if card.golden and not whole else grey)
    seconds = batch_seconds(
        lambda size: predictor.predict_placed([example] * size), sizes=SIZES[:1] if whole else SIZES
    )
    return Model(name, opened, difference, seconds, best_batch(seconds), generation)


class Shelf:
    """Models by name, the first of which answers where none is named.

    Args:
        sources: What opens each.
        say: Told of every model that is opened.
        warn: Told of every one that could not be opened again.
    """

    def __init__(self, sources: Mapping[str, Open], *, say: Callable[[str], None], warn: Callable[[str], None]) -> None:
        self._sources = dict(sources)
        self._say, self._warn = say, warn
        self._models: dict[str, Model] = {}
        self._reloading = threading.Lock()
        self._started = time.monotonic()

    def load(self) -> None:
        """Open all models, one after the other.

        Raises:
            UserError: One of them cannot be opened, or is not what its file says.
        """
        self._started = time.monotonic()
        for name in self._sources:
            self._models = {**self._models, name: self._opened(name, 1)}

    def check_loaded(self) -> None:
        """Check that all models are open.

        Raises:
            RefusedError: They are not yet; says how far it is.
        """
        coming = [name for name in self._sources if name not in self._models]
        if not coming:
            return
        ready, seconds = len(self._models), time.monotonic() - self._started
        what = f"Loading {coming[0]}, {ready + 1} of {counted(len(self._sources), 'model')}, for {seconds:.0f} s"
        raise RefusedError(503, what, where="models", mend="try again in 1 s", headers={"Retry-After": "1"})

    @property
    def models(self) -> tuple[Model, ...]:
        """Those that are open, in the order in which they were given."""
        return tuple(self._models[name] for name in self._sources if name in self._models)

    def find(self, name: str | None) -> Model:
        """The model of this name, or the first.

        Raises:
            RefusedError: There is none, or models are still loading.
        """
        if name is not None and name not in self._sources:
            raise RefusedError(404, f"no model {name[:80]!r}", where="model", mend=nearest(name[:80], self._sources))
        self.check_loaded()
        return self.models[0] if name is None else self._models[name]

    def reload(self, name: str) -> bool:
        """Open a model again; it takes the place of the one of its name once it has proven itself.

        Whoever holds the old one goes on with it. What is wrong with the new one is said, and the old one stays.

        Returns:
            Whether there is a new one.
        """
        with self._reloading:
            try:
                model = self._opened(name, self._models[name].generation + 1)
            except Exception as error:  # of a file that is half written, anything
                told = str(error) if isinstance(error, UserError) else repr(error)
                self._warn(f"{name}: not reloaded, the one before goes on: {told}")
                return False
            self._models = {**self._models, name: model}
            return True

    def _opened(self, name: str, generation: int) -> Model:
        model = prove(name, self._sources[name](), generation)
        card, engine = model.opened.predictor.card, model.opened.predictor.engine.name
        if model.difference is None:
            proof = "no golden inputs to prove it"
        else:
            proof = f"golden outputs within {model.difference:.1g}"
        self._say(
            f"{name}: {card.net} by {engine} in {model.precision}, {counted(len(card.classes), 'class')}; {proof}; "
            f"{rate_text(model.rate)}, {model.batch} at a time"
        )
        return model
