"""Session: predicting over time, one input after another, so that what was seen before can count."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from svertka.errors import UserError
from svertka.results import Result
from svertka.runtime.card import Card
from svertka.runtime.decoding import Outputs


class Predicting(Protocol):
    """What a session asks: a `svertka.runtime.predictor.Predictor`."""

    card: Card

    def raw(self, values: Sequence[NDArray[Any]]) -> Outputs:
        """Raw outputs for arrays of the media type."""
        ...

    def predict(self, values: Sequence[NDArray[Any]]) -> list[Result]:
        """A result an input, in order."""
        ...


class Session:
    """Is fed one input at a time, and gives results. This one remembers nothing but how many it was fed.

    A task whose answers hang on what came before names a subclass in its `svertka.task_records.record.TaskRecord`,
    which overrides `take`, `remembered` and `recall`. Killed and restored, it goes on with the same answers.

    Args:
        predictor: What predicts.

    Attributes:
        fed: How many inputs there were.
    """

    def __init__(self, predictor: Predicting) -> None:
        self.predictor = predictor
        self.fed = 0

    def feed(self, value: Any) -> list[Result]:
        """The results that one more input gives: one, none yet, or several.

        Args:
            value: As `svertka.runtime.predictor.Predictor` is called with.

        Raises:
            UserError: It is no input of the network; nothing is remembered of it.
        """
        results = self.take(self.predictor.card.input.given(value))
        self.fed += 1
        return results

    def state(self) -> dict[str, Any]:
        """All that is remembered, as a JSON object; of the model, only which one it is."""
        card = self.predictor.card
        return {"task": card.task, "weights": card.weights, "fed": self.fed, "remembered": self.remembered()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from where a session with the same model was.

        Args:
            state: What `state` gave.

        Raises:
            UserError: It is no such state, or that of another model; then nothing has changed.
        """
        try:
            task, weights, fed, remembered = (state[name] for name in ("task", "weights", "fed", "remembered"))
            if type(fed) is not int or fed < 0 or not isinstance(remembered, dict):
                raise ValueError("of no such form")
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(error) from error
        card = self.predictor.card
        if (task, weights) != (card.task, card.weights):
            raise UserError(
                "the state of a session is that of another model", mend="restore it with the model it is of"
            )
        before = json.loads(json.dumps(self.remembered()))
        try:
            self.recall(remembered)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            self.recall(before)
            raise _damaged(error) from error
        self.fed = fed

    def take(self, value: NDArray[Any]) -> list[Result]:
        """The results that one more array of the media type gives."""
        return self.predictor.predict([value])

    def remembered(self) -> dict[str, Any]:
        """What the next answers hang on, as a JSON object."""
        return {}

    def recall(self, remembered: dict[str, Any]) -> None:
        """The opposite of `remembered`.

        Raises:
            ValueError, KeyError, TypeError: It is not what `remembered` gives.
        """
        if remembered:
            raise ValueError("it remembers what this session does not")


def _damaged(error: Exception) -> UserError:
    return UserError(f"not the state of a session ({str(error)[:200] or type(error).__name__})")
