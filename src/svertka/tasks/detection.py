"""Detection: where in an image what is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from svertka.annotations import Annotation, Box, Boxes
from svertka.errors import UserError
from svertka.exhibits import Curve, Curves, Exhibit, Table
from svertka.layers.detector import Found, Saying
from svertka.results import Detections, Result, boxed, css, drawn_colour
from svertka.runtime.boxes import MOST, choose
from svertka.runtime.card import Card
from svertka.runtime.decoders.detection import found_boxes
from svertka.runtime.decoding import DEFAULT_THRESHOLD
from svertka.runtime.inputs import InputTransform
from svertka.tasks.box_losses import (
    ABSENT,
    COUNTED,
    CROWD,
    DIFFICULT,
    NEAR,
    PROPOSED,
    Truth,
    box_losses,
    choose_regions,
    proposals,
    truths,
)
from svertka.tasks.box_matches import BACKGROUND, ERRORS, RIGHT, UNCOUNTED, Matches, best_thresholds, match, told
from svertka.tasks.box_precision import RECALLS, Precision, average_precision
from svertka.tasks.box_priors import shape_clusters
from svertka.tasks.scoring import Gathered, cells, finite_mean, if_finite, worst_to_best
from svertka.tasks.task import Choices, Evaluation, Output, Score, Task
from svertka.wording import counted

_LEAST = 0.01  # score of a box that counts when precision is measured
_PRIORS = 5  # of a cell, as YOLOv2 has them
_CURVES = 10  # classes whose curves are shown


class DetectionTask(Task):
    """Objects and their boxes; the mean average precision at an IoU of 0.5 chooses the best epoch.

    How it is learnt depends on what kind of thing the network says; see `svertka.tasks.box_losses`.

    Args:
        classes: Class names in their order.
        thresholds: By class, the score from which on a box is told; 0.5 if not given.
        shapes: Width and height of the boxes to learn from, as shares of their images, ``(K, 2)``.
    """

    name = "detection"
    net_kind = "detector"
    exclusive = False
    headline = ("map50", "map")

    def __init__(
        self,
        classes: Sequence[str],
        *,
        thresholds: Sequence[float] = (),
        shapes: NDArray[np.float32] | None = None,
    ) -> None:
        self.classes, self.thresholds = tuple(classes), tuple(thresholds)
        self.shapes = shapes

    @classmethod
    def learnt_from(
        cls, labels: Sequence[Annotation], classes: Sequence[str], transform: InputTransform, choices: Choices
    ) -> Self:
        """See `Task.learnt_from`."""
        del transform
        choices.check_one_loss()
        if choices.label_smoothing or choices.balanced:
            raise UserError("boxes are learnt as they are", mend="leave out --label-smoothing and --balance")
        return cls(classes, shapes=box_shapes(labels))

    @classmethod
    def of_card(cls, card: Card) -> Self:
        """See `Task.of_card`."""
        return cls(card.classes, thresholds=card.thresholds)

    def targets(self, labels: Sequence[Annotation]) -> NDArray[np.float32]:
        """``(N, M, 6)``: class, or -1 where there is no box; left, top, right, bottom as shares of the image; kind.

        Kinds are `svertka.tasks.box_losses.COUNTED`, `DIFFICULT` and `CROWD`; and `PROPOSED` of an image's regions,
        which have no class of their own, and move with the pixels as boxes do.

        Raises:
            UserError: An image has no boxes, or one of a class that the network does not know.
        """
        images = [label for label in labels if isinstance(label, Boxes)]
        if len(images) < len(labels):
            raise UserError("not all images have boxes, and the network finds them")
        numbers = self._numbers_of(box.label for image in images for box in image.boxes)
        most = max([1, *(len(image.boxes) for image in images)])
        proposed = max((len(image.regions) for image in images if image.regions is not None), default=0)
        targets = np.zeros((len(images), most + proposed, 6), np.float32)
        targets[..., 0] = ABSENT
        for rows, image in zip(targets, images, strict=True):
            assert image.size is not None or not image.boxes
            for row, box in zip(rows, image.boxes, strict=False):
                height, width = image.size or (1, 1)
                kind = CROWD if box.crowd else DIFFICULT if box.difficult else COUNTED
                sides = box.left / width, box.top / height, box.right / width, box.bottom / height
                row[:] = numbers[box.label], *sides, kind
            if image.regions is not None:
                rows[most:, 0], rows[most:, 1:5], rows[most:, 5] = 0, image.regions, PROPOSED
        return targets

    def net_options(self, accepts: Callable[[str], bool]) -> dict[str, Any]:
        """Priors of the shapes that the boxes have; see `svertka.tasks.box_priors`."""
        if self.shapes is None or not len(self.shapes) or not accepts("priors"):
            return {}
        return {"priors": shape_clusters(self.shapes, _PRIORS)}

    def output_of(self, outputs: Mapping[str, NDArray[np.float32]]) -> Found:
        """See `Task.output_of`."""
        boxes, scores = found_boxes(outputs, len(self.classes))
        return Found(torch.from_numpy(boxes), torch.from_numpy(scores))

    def some_targets(self, output: Output) -> Tensor:
        """See `Task.some_targets`."""
        one = torch.tensor([0, 0.25, 0.25, 0.75, 0.75, COUNTED], device=output[0].device)
        return one.expand(len(output[0]), 1, -1)

    def losses(self, output: Output, targets: Tensor) -> dict[str, Tensor]:
        """See `svertka.tasks.box_losses`; targets are ``(N, M, 6)``."""
        return box_losses(output, truths(targets))

    def step(self, net: nn.Module, inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """See `Task.step`; images are brought to one of the sides that the network learns from, if it names any."""
        sides = getattr(net, "sides", ())
        if sides and inputs.ndim == 4:
            side = sides[int(torch.randint(len(sides), ()))]
            inputs = F.interpolate(inputs, size=(side, side), mode="bilinear", antialias=True)
        truth = truths(targets)
        given: tuple[Any, ...] = ()
        if getattr(net, "regions", 0):
            given = (choose_regions(proposals(targets), truth, least=NEAR),)
        elif getattr(net, "chooses", False):
            given = (lambda found: choose_regions(found, truth),)
        return box_losses(net(inputs, *given), truth)

    def run(self, forward: Callable[..., Output], inputs: Tensor, targets: Tensor) -> Output:
        """See `Task.run`; the network is given the regions that were proposed, if there are any."""
        regions = proposals(targets)
        return forward(inputs, *([regions] if regions.shape[1] else []))

    def score(self) -> Score:
        """See `Task.score`."""
        return _BoxScore(self.classes, self.thresholds or (DEFAULT_THRESHOLD,) * len(self.classes))

    def rank(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """See `Task.rank`."""
        return metrics["map50"], metrics["map"]

    def settled(self, val: Evaluation | None) -> DetectionTask:
        """With the threshold for each class that has the largest F1 on ``val``."""
        if val is None:
            return self
        boxes, objects = ([told(rows) for rows in val.arrays[name]] for name in ("boxes", "objects"))
        chosen = best_thresholds(boxes, objects, len(self.classes), DEFAULT_THRESHOLD)
        return DetectionTask(self.classes, thresholds=chosen, shapes=self.shapes)

    def sentence(self, evaluation: Evaluation, part: str) -> str:
        """See `Task.sentence`."""
        rows = evaluation.details["per_class"]
        there, found = (sum(row[name] for row in rows) for name in ("boxes", "found"))
        return (
            f"It finds {found:,} of {counted(there, 'object')} in "
            f"{counted(len(evaluation.arrays['objects']), f'{part} image')}; "
            f"the mean average precision at an IoU of 0.5 is {evaluation.metrics['map50']:.1%}."
        )

    def exhibits(self, evaluation: Evaluation) -> list[Exhibit]:
        """All that is measured of each class, the kinds of errors, and precision by recall."""
        rows, curves = evaluation.details["per_class"], evaluation.details["precision_by_recall"]
        columns = ("class", "boxes", "ap50", "ap", "recall", "precision", "f1", "threshold")
        chosen = sorted(rows, key=lambda row: -row["boxes"])[:_CURVES]
        return [
            Table(
                title="Class by class",
                columns=("class", "objects", "AP at 0.5", "AP 0.5 to 0.95", "recall", "precision", "F1", "threshold"),
                rows=cells(rows, *columns),
                note="Average precision goes by the protocol of COCO and knows no threshold. Recall, precision and F1 "
                "are of boxes that are told: those with a score above the threshold, right at an IoU of 0.5.",
            ),
            Table(
                title="What is wrong",
                columns=("class", "found", "missed", *ERRORS),
                rows=cells(rows, "class", "found", "missed", *(error.replace(" ", "_") for error in ERRORS)),
                note="Missed are objects that no box has found, and none but for its class or place. Of boxes: of the "
                "wrong class, badly placed (an IoU of 0.1 to 0.5), both at once, doubled, or showing background.",
            ),
            Curves(
                title="Precision by recall",
                x_label="recall",
                y_label="precision",
                curves=[
                    Curve(name=row["class"], x=RECALLS.tolist(), y=curves[row["class"]])
                    for row in chosen
                    if row["class"] in curves
                ],
                note="At an IoU of 0.5.",
            ),
        ]

    def examples(self, evaluation: Evaluation, most: int) -> dict[str, list[tuple[int, str, str]]]:
        """The images with the most errors, and some from the best to the worst."""
        errors = evaluation.arrays["errors"]
        wrong = errors.sum(axis=1)

        def described(position: int) -> tuple[int, str, str]:
            names = ("missed", *ERRORS)
            detail = ", ".join(
                f"{count} {name}" for name, count in zip(names, errors[position].tolist(), strict=True) if count
            )
            return position, counted(wrong[position], "error"), detail or "all right"

        return worst_to_best(wrong, most // 3, described)  # each is three pictures wide

    def colour_key(self) -> list[tuple[str, str]]:
        """See `Task.colour_key`."""
        return [(name, css(drawn_colour(number))) for number, name in enumerate(self.classes)]

    def panels(
        self, image: NDArray[np.uint8], annotation: Annotation, predict: Callable[[NDArray[np.uint8]], Result]
    ) -> dict[str, NDArray[np.uint8]]:
        """The image, its boxes, and those that are predicted."""
        result = predict(image)
        assert isinstance(annotation, Boxes)
        assert isinstance(result, Detections)
        there = [box for box in annotation.boxes if box.right > box.left and box.bottom > box.top]
        truth = boxed(image, [_sides(box) for box in there], *self._marked(there))
        return {"image": image, "truth": truth, "prediction": result.draw(image)}

    def _marked(self, boxes: Sequence[Box]) -> tuple[list[str], list[int]]:
        labels = [box.label for box in boxes]
        return labels, [self.classes.index(label) if label in self.classes else len(self.classes) for label in labels]


def box_shapes(labels: Sequence[Annotation]) -> NDArray[np.float32]:
    """Width and height of all boxes in annotations, as shares of their images, ``(K, 2)``; crowds are left out."""
    found = [
        ((box.right - box.left) / image.size[1], (box.bottom - box.top) / image.size[0])
        for image in labels
        if isinstance(image, Boxes) and image.size
        for box in image.boxes
        if not box.crowd
    ]
    return np.array(found, np.float32).reshape(-1, 2)


def _sides(box: Box) -> tuple[float, float, float, float]:
    return box.left, box.top, box.right, box.bottom


class _BoxScore(Gathered):
    # Of an image it keeps the likeliest boxes, its objects, and the loss where the network's own output is at hand.

    def __init__(self, classes: Sequence[str], thresholds: Sequence[float]) -> None:
        super().__init__()
        self.classes, self.thresholds = classes, thresholds

    def update(self, output: Output, targets: Tensor, indices: Tensor) -> None:
        said: Saying = output
        found = said.found()
        boxes = np.zeros((len(indices), MOST, 6), np.float32)
        boxes[..., 0] = ABSENT
        least = [_LEAST] * len(self.classes)
        for rows, sides, scores in zip(boxes, found.boxes.numpy(), found.scores.numpy(), strict=True):
            chosen = choose(sides, scores, least=least)
            rows[: len(chosen.classes)] = np.column_stack([chosen.classes, chosen.scores, chosen.boxes])
        self.keep(indices=indices, boxes=boxes, objects=_objects(targets.numpy()))
        if not isinstance(said, Found):
            truth = truths(targets)
            self.keep(loss=np.array([_loss(said.of(number), truth[number]) for number in range(len(truth))]))

    def evaluate(self, arrays: Mapping[str, NDArray[Any]]) -> Evaluation:
        boxes, objects = ([told(rows) for rows in arrays[name]] for name in ("boxes", "objects"))
        precision = average_precision(boxes, objects, len(self.classes))
        limits = np.array(self.thresholds)
        said = [rows[rows[:, 1] > limits[rows[:, 0].astype(int)]] for rows in boxes]
        matches = [match(mine, own) for mine, own in zip(said, objects, strict=True)]
        metrics = {"map50": finite_mean(precision.by_class50), "map": finite_mean(precision.by_class)}
        if "loss" in arrays:
            metrics["loss"] = float(arrays["loss"].mean(dtype=np.float64))
        per_class = [self._measured(number, precision, said, objects, matches) for number in range(len(self.classes))]
        errors = np.array([[found.missed.sum(), *_errors(found.kinds)] for found in matches], np.int64)
        curves = {
            name: precision.values[0, :, number].tolist()
            for number, name in enumerate(self.classes)
            if np.isfinite(precision.by_class50[number])
        }
        details = {"per_class": per_class, "precision_by_recall": curves}
        return Evaluation(metrics, details, {**arrays, "errors": errors})

    def _measured(
        self,
        number: int,
        precision: Precision,
        boxes: Sequence[NDArray[np.float32]],
        objects: Sequence[NDArray[np.float32]],
        matches: Sequence[Matches],
    ) -> dict[str, Any]:
        kinds = np.concatenate([found.kinds[rows[:, 0] == number] for rows, found in zip(boxes, matches, strict=True)])
        mine = [rows[:, 0] == number for rows in objects]
        there, found, missed = (
            int(sum((chosen & own).sum() for chosen, own in zip(flags, mine, strict=True)))
            for flags in (
                [rows[:, 5] == COUNTED for rows in objects],
                [one.found for one in matches],
                [one.missed for one in matches],
            )
        )
        told_of = int((kinds != UNCOUNTED).sum())
        return {
            "class": self.classes[number],
            "recall": found / max(there, 1),
            "precision": found / max(told_of, 1),
            "f1": 2 * found / max(there + told_of, 1),
            "missed": missed,
            "boxes": there,
            "found": found,
            "ap50": if_finite(precision.by_class50[number]),
            "ap": if_finite(precision.by_class[number]),
            **dict(zip((error.replace(" ", "_") for error in ERRORS), _errors(kinds), strict=True)),
            "threshold": float(self.thresholds[number]),
        }


def _objects(targets: NDArray[np.float32]) -> NDArray[np.float32]:
    """Targets ``(N, M, 6)`` without the regions that were proposed: as many of every image."""
    proposed = targets[..., 5] == PROPOSED
    order = np.argsort(proposed, axis=1, kind="stable")[:, : targets.shape[1] - int(proposed.sum(axis=1).min())]
    return np.take_along_axis(np.where(proposed[..., None], ABSENT, targets), order[..., None], axis=1)


def _loss(said: Saying, truth: Truth) -> float:
    with torch.random.fork_rng(devices=[]):  # some losses are of a sample; an image's is the same each time
        torch.manual_seed(0)
        return sum(float(term) for term in box_losses(said, [truth]).values())


def _errors(kinds: NDArray[np.int64]) -> list[int]:
    return [int((kinds == kind).sum()) for kind in range(RIGHT + 1, BACKGROUND + 1)]
