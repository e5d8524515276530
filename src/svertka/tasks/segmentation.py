"""Segmentation: the class of every pixel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from svertka.annotations import Annotation, Mask
from svertka.errors import UserError
from svertka.exhibits import Exhibit, Matrix, Table
from svertka.results import Result, Segmentation, css, drawn_colour, tinted
from svertka.runtime.card import Card, image_input
from svertka.runtime.inputs import InputTransform
from svertka.runtime.preprocess import Preprocess
from svertka.runtime.tiling import assemble
from svertka.tasks.mask_losses import VOID, border_weights, dice_loss, pixel_weights, within
from svertka.tasks.scoring import Gathered, cells, finite_mean, if_finite, worst_to_best
from svertka.tasks.task import Choices, Evaluation, Score, Task
from svertka.wording import counted

_LOSSES = ("cross_entropy", "dice")  # unless others are named
_FOCUS = 2.0  # the focal loss's exponent, as published
_NEAR = 2  # pixels: a border that is found so near counts as found


class SegmentationTask(Task):
    """The class of every pixel; the mean IoU chooses the best epoch, the loss decides between equals.

    Args:
        classes: Class names in the order of the logits.
        preprocess: How large the pieces are in which whole images are judged.
        losses: Terms of the loss: ``cross_entropy``, ``dice``, ``focal``.
        weights: What a pixel of each class counts for in cross-entropy and focal loss, ``(classes,)``.
        border: Let pixels between two objects that nearly touch count for up to ten more, so that they are told apart.
    """

    name = "segmentation"
    net_kind = "segmenter"
    exclusive = False
    headline = ("miou", "boundary_f1")

    def __init__(
        self,
        classes: Sequence[str],
        preprocess: Preprocess,
        *,
        losses: Sequence[str] = _LOSSES,
        weights: Sequence[float] | None = None,
        border: bool = False,
    ) -> None:
        self.classes, self.preprocess = tuple(classes), preprocess
        self.terms, self.border = tuple(losses), border
        self.weights = None if weights is None else torch.tensor(weights, dtype=torch.float32)

    @classmethod
    def learnt_from(
        cls, labels: Sequence[Annotation], classes: Sequence[str], transform: InputTransform, choices: Choices
    ) -> Self:
        """See `Task.learnt_from`."""
        if choices.label_smoothing:
            raise UserError("masks are learnt as they are", mend="leave out --label-smoothing")
        masks = [label for label in labels if isinstance(label, Mask)]
        weights = pixel_weights(masks, classes) if choices.balanced else None
        assert isinstance(transform, Preprocess)
        return cls(classes, transform, losses=choices.losses or _LOSSES, weights=weights, border=choices.border)

    @classmethod
    def of_card(cls, card: Card) -> Self:
        """See `Task.of_card`."""
        return cls(card.classes, image_input(card))

    def targets(self, labels: Sequence[Annotation]) -> NDArray[np.uint8]:
        """What each number in a mask's file means: a class number, or `VOID`; ``(N, 256)``.

        Raises:
            UserError: An image has no mask, or one with a class that the network does not know.
        """
        masks = [label for label in labels if isinstance(label, Mask)]
        if len(masks) < len(labels):
            raise UserError("not all images have a mask, and the network gives the class of every pixel")
        tables = {}
        for names in {mask.names for mask in masks}:
            numbers = self._numbers_of(names)
            tables[names] = np.full(256, VOID, np.uint8)
            tables[names][: len(names)] = [numbers[name] for name in names]
        return np.stack([tables[mask.names] for mask in masks]) if masks else np.empty((0, 256), np.uint8)

    def some_targets(self, output: Tensor) -> Tensor:
        """See `Task.some_targets`."""
        targets = torch.zeros(len(output), *output.shape[-2:], dtype=torch.uint8, device=output.device)
        targets[:, ::2, ::2] = 1
        return targets

    def losses(self, output: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """The terms for logits ``(N, classes, H, W)``; targets ``(N, H', W')``, of which the middle is taken."""
        logits, wanted = output.float(), within(targets, output)
        log = F.log_softmax(logits, dim=1)
        said = wanted != VOID
        known = torch.where(said, wanted, 0).long()
        own = log.gather(1, known[:, None])[:, 0]
        weights = said.float()
        if self.weights is not None:
            weights = weights * self.weights.to(output.device)[known]
        if self.border:
            weights = weights * (1 + border_weights(wanted))
        total = weights.sum().clamp(min=1e-6)
        found: dict[str, Tensor] = {}
        for term in self.terms:
            if term == "cross_entropy":
                found[term] = -(own * weights).sum() / total
            elif term == "focal":
                found[term] = -(own * (1 - own.exp()) ** _FOCUS * weights).sum() / total
            else:
                found[term] = dice_loss(log.exp(), known, said)
        return found

    def run(self, forward: Callable[..., Tensor], inputs: Tensor, targets: Tensor) -> Tensor:
        """Logits of whole images ``(N, C, H, W)``, piece by piece where they are large: ``(N, classes, H, W)``."""
        del targets
        if inputs.ndim == 2:  # what frozen stages made of pieces of one size
            return forward(inputs)

        def piece(cut: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
            return {"logits": forward(torch.from_numpy(np.ascontiguousarray(cut))).float().numpy()}

        return torch.from_numpy(assemble(piece, inputs.numpy(), self.preprocess)["logits"])

    def score(self) -> Score:
        """See `Task.score`."""
        return _MaskScore(self.classes)

    def rank(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """See `Task.rank`."""
        return metrics["miou"], -metrics["loss"]

    def sentence(self, evaluation: Evaluation, part: str) -> str:
        """See `Task.sentence`."""
        metrics = evaluation.metrics
        return (
            f"It gets {metrics['accuracy']:.1%} of the pixels of "
            f"{counted(len(evaluation.arrays['loss']), f'{part} image')} "
            "right; "
            f"the mean IoU of the classes is {metrics['miou']:.1%}."
        )

    def exhibits(self, evaluation: Evaluation) -> list[Exhibit]:
        """The confusion of pixels, and all that is measured of each class."""
        columns = ("class", "pixels", "iou", "dice", "recall", "precision", "boundary_f1")
        return [
            Table(
                title="Class by class",
                columns=("class", "pixels", "IoU", "Dice", "recall", "precision", "boundary F1"),
                rows=cells(evaluation.details["per_class"], *columns),
                note="IoU = TP / (TP + FP + FN) and Dice = 2 TP / (2 TP + FP + FN), over the pixels of all images. "
                f"Boundary F1 is the F1 of border pixels, found if they are within {_NEAR} pixels.",
            ),
            Matrix(
                title="Which pixels are taken for what",
                row_label="true class",
                column_label="predicted class",
                names=self.classes,
                counts=np.asarray(evaluation.details["confusion"], np.int64),
                note="A row is a true class; what lies off the diagonal is a mistake.",
            ),
        ]

    def examples(self, evaluation: Evaluation, most: int) -> dict[str, list[tuple[int, str, str]]]:
        """The images with the lowest mean IoU, and some from the best to the worst."""
        confusion = evaluation.arrays["confusion"]
        each = np.array([_mean_iou(counts) for counts in confusion])

        def described(position: int) -> tuple[int, str, str]:
            right = np.trace(confusion[position]) / max(confusion[position].sum(), 1)
            return position, f"mean IoU {each[position]:.1%}", f"{right:.1%} of the pixels are right"

        return worst_to_best(-each, most // 4, described)  # each is four pictures wide

    def colour_key(self) -> list[tuple[str, str]]:
        """See `Task.colour_key`."""
        coloured = [number for number, name in enumerate(self.classes) if number or name.lower() != "background"]
        return [(self.classes[number], css(drawn_colour(number))) for number in coloured]

    def panels(
        self, image: NDArray[np.uint8], annotation: Annotation, predict: Callable[[NDArray[np.uint8]], Result]
    ) -> dict[str, NDArray[np.uint8]]:
        """The image, its mask, what is predicted, and where that is wrong."""
        result = predict(image)
        assert isinstance(annotation, Mask)
        assert isinstance(result, Segmentation)
        truth = self.targets([annotation])[0][annotation.source.load()]
        background = self.classes[0].lower() == "background"
        wrong = (truth != VOID) & (truth != result.mask)
        grey = np.repeat((image.mean(axis=2, keepdims=True) / 2 + 96).astype(np.uint8), 3, axis=2)
        return {
            "image": image,
            "truth": tinted(image, truth, background=background),
            "prediction": tinted(image, result.mask, background=background),
            "errors": np.where(wrong[..., None], np.array([220, 30, 30], np.uint8), grey),
        }


def boundary_counts(predicted: NDArray[np.uint8], target: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    """Of every class, border pixels: predicted, predicted and right, true, true and found; ``(classes, 4)``.

    A border pixel has one of another class beside it, to its left or right, above or below; the border of the image is
    none, and void pixels have none. It is right, or found, if one of the other kind is within 2 pixels.

    Args:
        predicted, target: Class numbers ``(H, W)``; `VOID` in the target.
        classes: How many there are.
    """
    said = target != VOID
    counts = np.zeros((classes, 4), np.int64)
    here, there = (_borders(mask, said) for mask in (predicted, target))
    for number in np.unique(np.concatenate([predicted[here], target[there]])):
        mine, own = here & (predicted == number), there & (target == number)
        counts[number] = mine.sum(), (mine & _near(own)).sum(), own.sum(), (own & _near(mine)).sum()
    return counts


def _borders(mask: NDArray[np.uint8], said: NDArray[np.bool_]) -> NDArray[np.bool_]:
    found = np.zeros(mask.shape, bool)
    down = (mask[1:] != mask[:-1]) & said[1:] & said[:-1]
    right = (mask[:, 1:] != mask[:, :-1]) & said[:, 1:] & said[:, :-1]
    found[1:] |= down
    found[:-1] |= down
    found[:, 1:] |= right
    found[:, :-1] |= right
    return found


def _near(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    # What is within two pixels: a disc, of which each row is a shift.
    height, width = mask.shape
    padded = np.pad(mask, _NEAR)
    found = np.zeros_like(mask)
    for down in range(-_NEAR, _NEAR + 1):
        for right in range(-_NEAR, _NEAR + 1):
            if down**2 + right**2 <= _NEAR**2:
                top, left = _NEAR + down, _NEAR + right
                found |= padded[top : top + height, left : left + width]
    return found


class _MaskScore(Gathered):
    # Of an image it keeps counts: confused pixels (classes²), border pixels, and the loss.

    def __init__(self, classes: Sequence[str]) -> None:
        super().__init__()
        self.classes = classes

    def update(self, output: Tensor, targets: Tensor, indices: Tensor) -> None:
        logits, wanted = output.float(), within(targets, output)
        count = len(self.classes)
        losses = F.cross_entropy(logits, wanted.long(), ignore_index=VOID, reduction="none").sum(dim=(1, 2))
        predicted, target = logits.argmax(dim=1).to(torch.uint8).numpy(), wanted.numpy()
        confusion, borders = [], []
        for mine, own in zip(predicted, target, strict=True):
            said = own != VOID
            pairs = own[said].astype(np.int64) * count + mine[said]
            confusion.append(np.bincount(pairs, minlength=count * count).reshape(count, count))
            borders.append(boundary_counts(mine, own, count))
        self.keep(indices=indices, confusion=np.stack(confusion), borders=np.stack(borders), loss=losses.double())

    def evaluate(self, arrays: Mapping[str, NDArray[Any]]) -> Evaluation:
        confusion = arrays["confusion"].sum(axis=0)
        hits, support, calls = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
        predicted, right, true, found = arrays["borders"].sum(axis=0).T
        with np.errstate(invalid="ignore", divide="ignore"):
            # A class that neither occurs nor is predicted has none of these, and must not pull means down.
            measures = {
                "iou": hits / (support + calls - hits),
                "dice": 2 * hits / (support + calls),
                "recall": hits / support,
                "precision": hits / calls,
                "boundary_f1": _f1(right / predicted, found / true, predicted + true),
            }
        pixels = max(int(support.sum()), 1)
        metrics = {
            "miou": finite_mean(measures["iou"]),
            "dice": finite_mean(measures["dice"]),
            "accuracy": float(hits.sum() / pixels),
            "boundary_f1": finite_mean(measures["boundary_f1"]),
            "loss": float(arrays["loss"].sum() / pixels),
        }
        per_class = [
            {
                "class": name,
                "pixels": int(support[number]),
                **{measure: if_finite(values[number]) for measure, values in measures.items()},
            }
            for number, name in enumerate(self.classes)
        ]
        return Evaluation(metrics, {"per_class": per_class, "confusion": confusion.tolist()}, arrays)


def _f1(precision: NDArray[np.float64], recall: NDArray[np.float64], there: NDArray[np.int64]) -> NDArray[np.float64]:
    # Where one of the two has no border pixel, nothing of the other is right.
    precision, recall = np.nan_to_num(precision), np.nan_to_num(recall)
    score = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return np.where(there > 0, score, np.nan)


def _mean_iou(confusion: NDArray[np.int64]) -> float:
    hits = np.diag(confusion)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - hits
    return float((hits[union > 0] / union[union > 0]).mean()) if union.any() else 1.0
