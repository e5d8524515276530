"""The diagnoses, causes before what they cause. A new one is a line here."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from svertka.errors import UserError, nearest
from svertka.training.diagnoses.data import duplicated_data, loader_bound, validation_leak, wrong_split
from svertka.training.diagnoses.diagnosis import Diagnosis
from svertka.training.diagnoses.fit import needs_more_epochs, overfitting, stopped_too_early, underfitting
from svertka.training.diagnoses.freezing import everything_frozen, nothing_frozen
from svertka.training.diagnoses.inputs import doubly_normalised_input, unnormalised_input, wrong_loss
from svertka.training.diagnoses.labels import class_collapse, imbalance_ignored, labels_shuffled, noisy_labels
from svertka.training.diagnoses.rate import (
    learning_rate_too_high,
    learning_rate_too_low,
    plateau,
    weight_decay_too_strong,
)
from svertka.training.diagnoses.units import (
    batch_too_small_for_norm,
    dead_relus,
    exploding_gradients,
    saturated_units,
    vanishing_gradients,
)
from svertka.training.signals import Signals

SURE = 0.85
"""Confidence from which on a diagnosis is said while training goes on."""

_LIVE_STEPS = 12  # before which nothing is said
_STUCK = (
    "wrong_loss",
    "everything_frozen",
    "unnormalised_input",
    "doubly_normalised_input",
    "exploding_gradients",
    "saturated_units",
    "dead_relus",
    "vanishing_gradients",
    "learning_rate_too_high",
    "learning_rate_too_low",
    "weight_decay_too_strong",
)
_HALTED = tuple(kind for kind in _STUCK if kind != "dead_relus")
_SPOILT = (*_STUCK, "batch_too_small_for_norm", "wrong_split", "labels_shuffled", "noisy_labels", "class_collapse")


@dataclass(frozen=True)
class Known:
    """One thing that can be wrong.

    Attributes:
        look: Says so, by the record of a training.
        live: Share of what is planned after which it can be told while training goes on; None before the end of it.
        unless: Kinds that explain what this one would be seen by: where one of them is found, this one is not looked
            for.
        of_data: It is about the data, whatever learns from them.
    """

    look: Callable[[Signals], Diagnosis | None]
    live: float | None = None
    unless: tuple[str, ...] = ()
    of_data: bool = False

    @property
    def kind(self) -> str:
        """Its name."""
        return self.look.__name__


DIAGNOSES: tuple[Known, ...] = (
    Known(wrong_loss, live=0.0),
    Known(unnormalised_input, live=0.0),
    Known(doubly_normalised_input, live=0.0),
    Known(everything_frozen, live=0.0),
    Known(exploding_gradients, live=0.05, unless=("unnormalised_input", "doubly_normalised_input", "wrong_loss")),
    Known(learning_rate_too_high, live=0.3, unless=("unnormalised_input", "wrong_loss")),
    Known(saturated_units, live=0.05),
    Known(dead_relus, live=0.15),
    Known(vanishing_gradients, live=0.15, unless=("everything_frozen", "saturated_units", "dead_relus")),
    Known(
        learning_rate_too_low,
        live=0.5,
        unless=(
            *("everything_frozen", "vanishing_gradients", "saturated_units", "dead_relus", "wrong_loss"),
            "exploding_gradients",
        ),
    ),
    Known(weight_decay_too_strong, live=0.3, unless=("everything_frozen", "dead_relus")),
    Known(batch_too_small_for_norm, live=0.05),
    Known(loader_bound, live=0.05, of_data=True),
    Known(validation_leak, of_data=True),
    Known(duplicated_data, of_data=True),
    Known(wrong_split, live=0.05, of_data=True),
    Known(labels_shuffled, live=0.6, unless=(*_HALTED, "wrong_split")),
    Known(noisy_labels, live=0.6, unless=(*_STUCK, "wrong_split", "labels_shuffled")),
    Known(imbalance_ignored),
    Known(class_collapse, live=0.3, unless=(*_HALTED, "imbalance_ignored")),
    Known(nothing_frozen),
    Known(overfitting, live=0.6, unless=(*_SPOILT, "nothing_frozen")),
    Known(stopped_too_early, unless=_SPOILT),
    Known(
        plateau, unless=(*_HALTED, "noisy_labels", "wrong_split", "labels_shuffled", "class_collapse", "overfitting")
    ),
    Known(needs_more_epochs, unless=(*_SPOILT, "overfitting", "nothing_frozen", "imbalance_ignored", "plateau")),
    Known(underfitting, unless=(*_SPOILT, "plateau", "overfitting", "imbalance_ignored", "needs_more_epochs")),
)


def check_kinds(kinds: Collection[str], task: str) -> None:
    """See that there are diagnoses of these names.

    Raises:
        UserError: One of them there is not.
    """
    every = [known.kind for known in DIAGNOSES]
    for kind in sorted(kinds):
        if kind not in every:
            raise UserError(f"the task {task!r} asks for a diagnosis {kind!r}", mend=nearest(kind, every))


def diagnose(signals: Signals, *, live: bool = False) -> list[Diagnosis]:
    """All that is wrong with a training, as far as its record shows: what is sure first, and causes before effects.

    Only what its task says makes sense is looked for.

    Args:
        signals: The record.
        live: Training goes on: only what can be told before its end.
    """
    found: dict[str, Diagnosis] = {}
    wanted = signals.facts.get("diagnostics")
    if live and signals.done < _LIVE_STEPS:
        return []
    for known in DIAGNOSES:
        early = live and (known.live is None or signals.progress < known.live)
        asked = wanted is None or known.kind in wanted
        if asked and not early and not found.keys() & set(known.unless):
            diagnosis = known.look(signals)
            if diagnosis is not None:
                update = "" if known.of_data else signals.update
                found[diagnosis.kind] = replace(diagnosis, update=update)
    return sorted(found.values(), key=lambda diagnosis: diagnosis.confidence < SURE)
