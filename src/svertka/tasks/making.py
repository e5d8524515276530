"""Which task it is: by what is said of the images, or by what a card names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from svertka.annotations import Annotation, Boxes, Mask, names_in
from svertka.errors import UserError, nearest
from svertka.runtime.card import LONGEST_CLASS, Card
from svertka.runtime.preprocess import Preprocess
from svertka.tasks.classification import Classification
from svertka.tasks.detection import DetectionTask, box_shapes
from svertka.tasks.multilabel import MultiLabel
from svertka.tasks.segmentation import Loss, SegmentationTask, pixel_weights
from svertka.tasks.task import Task


def task_for(
    labels: Sequence[Annotation],
    classes: Sequence[str],
    preprocess: Preprocess,
    *,
    label_smoothing: float = 0.0,
    balanced: bool = False,
    losses: Sequence[Loss] = (),
    border: bool = False,
) -> Task:
    """The task that training images ask for: masks, boxes, several labels each if they are tuples, else one class each.

    Args:
        labels: What is said of the training images.
        classes: All names in them, in the order of the logits.
        preprocess: Of the images.
        label_smoothing: See the task.
        balanced: Let every class count alike; of several labels, let each count alike where it is there and where not.
        losses: Of a task that has several to choose from; its own if none is named.
        border: Let pixels between objects count for more, where the task knows them.

    Raises:
        UserError: No task here learns what is said of the images.
    """
    if longest := next((name for name in classes if len(name) > LONGEST_CLASS), None):
        raise UserError(f"the class {longest[:40]}… has a name of more than {LONGEST_CLASS:,} characters")
    masks = [label for label in labels if isinstance(label, Mask)]
    if len(masks) == len(labels):
        if label_smoothing:
            raise UserError("masks are learnt as they are", mend="leave out --label-smoothing")
        chosen = {"losses": tuple(losses)} if losses else {}
        return SegmentationTask(
            classes, preprocess, weights=pixel_weights(masks, classes) if balanced else None, border=border, **chosen
        )
    if losses or border:
        raise UserError(
            "a loss is named, and what is said of the images has but one", mend="leave out --loss and --border"
        )
    if all(isinstance(label, Boxes) for label in labels):
        if label_smoothing or balanced:
            raise UserError("boxes are learnt as they are", mend="leave out --label-smoothing and --balance")
        return DetectionTask(classes, shapes=box_shapes(labels))
    if all(isinstance(label, str) for label in labels):
        counts = Counter(labels)
        shares = [len(labels) / len(classes) / counts[name] for name in classes] if balanced else None
        return Classification(classes, label_smoothing=label_smoothing, weights=shares)
    if not all(isinstance(label, str | tuple) for label in labels):
        raise UserError(
            "the images have pictures or several kinds of annotations, and networks here learn classes, labels, masks "
            "or boxes",
            mend="svertka check reads them; to train, give class folders, labels, masks or boxes",
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
    "detection": lambda card: DetectionTask(card.classes, thresholds=card.thresholds),
    "segmentation": lambda card: SegmentationTask(card.classes, card.preprocess),
    "multilabel": lambda card: MultiLabel(card.classes, thresholds=card.thresholds),
}
