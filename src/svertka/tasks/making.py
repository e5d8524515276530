"""Which task it is: by what is said of the images, or by what a card names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from svertka.annotations import Annotation, names_in
from svertka.errors import UserError, nearest
from svertka.runtime.card import Card
from svertka.tasks.classification import Classification
from svertka.tasks.multilabel import MultiLabel
from svertka.tasks.task import Task


def task_for(
    labels: Sequence[Annotation],
    classes: Sequence[str],
    *,
    label_smoothing: float = 0.0,
    balanced: bool = False,
) -> Task:
    """The task that training images ask for: several labels each if they are tuples, else one class each.

    Args:
        labels: What is said of the training images.
        classes: All names in them, in the order of the logits.
        label_smoothing: See the task.
        balanced: Let every class count alike; of several labels, let each count alike where it is there and where not.

    Raises:
        UserError: No task here learns what is said of the images.
    """
    if all(isinstance(label, str) for label in labels):
        counts = Counter(labels)
        shares = [len(labels) / len(classes) / counts[name] for name in classes] if balanced else None
        return Classification(classes, label_smoothing=label_smoothing, weights=shares)
    if not all(isinstance(label, str | tuple) for label in labels):
        raise UserError(
            "the images have boxes, masks or pictures, and networks here learn classes and labels",
            mend="svertka check and svertka convert read them; to train, give class folders or a CSV of labels",
        )
    held = Counter(name for label in labels for name in names_in(label))
    odds = [max(len(labels) - held[name], 1) / held[name] for name in classes] if balanced else None
    return MultiLabel(classes, label_smoothing=label_smoothing, weights=odds)


def task_of(card: Card) -> Task:
    """The task of a model file.

    Raises:
        UserError: This release does not know it.
    """
    if card.task not in _TASKS:
        raise UserError(f"unknown task {card.task!r} in the card", mend=nearest(card.task, _TASKS))
    return _TASKS[card.task](card)


_TASKS: dict[str, Callable[[Card], Task]] = {
    "classification": lambda card: Classification(card.classes),
    "multilabel": lambda card: MultiLabel(card.classes, thresholds=card.thresholds),
}
