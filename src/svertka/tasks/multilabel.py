"""Several labels an image: each class is there or not, whatever the others are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from svertka.annotations import Annotation, names_in
from svertka.errors import UserError
from svertka.exhibits import Exhibit, Table
from svertka.runtime.card import Card
from svertka.runtime.decoding import DEFAULT_THRESHOLD, sigmoid
from svertka.runtime.inputs import InputTransform
from svertka.tasks.scoring import ERRORS_NOTE, Gathered, Rates, cells, mistakes_and_doubts
from svertka.tasks.task import Choices, Evaluation, Score, Task
from svertka.wording import counted, inflected

_NAMES = 4  # that stand below a picture, at most


class MultiLabel(Task):
    """Binary cross-entropy over each logit; macro-F1 chooses the best epoch, the loss decides between equals.

    Args:
        classes: Label names in the order of the logits.
        label_smoothing: Share of every target that goes half to "there" and half to "not there".
        weights: What "there" counts for in the loss where "not there" counts for one, ``(classes,)``.
        thresholds: From which probability on a label is said to be there; 0.5 if not given.
    """

    name = "multilabel"
    exclusive = False
    headline = ("macro_f1", "map", "accuracy")

    def __init__(
        self,
        classes: Sequence[str],
        *,
        label_smoothing: float = 0.0,
        weights: Sequence[float] | None = None,
        thresholds: Sequence[float] = (),
    ) -> None:
        self.classes = tuple(classes)
        self.label_smoothing = label_smoothing
        self.weights = None if weights is None else torch.tensor(weights, dtype=torch.float32)
        self.thresholds = tuple(thresholds)

    @classmethod
    def learnt_from(
        cls, labels: Sequence[Annotation], classes: Sequence[str], transform: InputTransform, choices: Choices
    ) -> Self:
        """See `Task.learnt_from`."""
        del transform
        choices.check_one_loss()
        held = Counter(name for label in labels for name in names_in(label))
        odds = [max(len(labels) - held[name], 1) / held[name] for name in classes] if choices.balanced else None
        return cls(classes, label_smoothing=choices.label_smoothing, weights=odds)

    @classmethod
    def of_card(cls, card: Card) -> Self:
        """See `Task.of_card`."""
        return cls(card.classes, thresholds=card.thresholds)

    def targets(self, labels: Sequence[Annotation]) -> NDArray[np.float32]:
        """``(N, classes)``, 1 where the label is there. One name stands for itself alone.

        Raises:
            UserError: A label is no class of this network, or something else than labels is said of an image.
        """
        if not all(isinstance(label, str | tuple) for label in labels):
            nouns = inflected(2, self.media)
            raise UserError(f"the {nouns} have boxes, masks or pictures, and the network gives labels")
        named = [names_in(label) for label in labels]
        numbers = self._numbers_of(name for names in named for name in names)
        targets = np.zeros((len(named), len(self.classes)), np.float32)
        for row, names in zip(targets, named, strict=True):
            row[[numbers[name] for name in names]] = 1
        return targets

    def sample_weights(self, targets: NDArray[Any]) -> NDArray[np.float64] | None:
        """See `Task.sample_weights`: ``(N, classes)``."""
        if self.weights is None:
            return None
        return np.where(targets > 0, self.weights.numpy().astype(np.float64), 1.0)

    def mixed(self, targets: NDArray[Any], others: NDArray[Any], shares: NDArray[np.float64]) -> NDArray[np.float32]:
        """See `Task.mixed`: ``(N, classes)``."""
        weight = shares.astype(np.float32)[:, None]
        return np.asarray(weight * targets + (1 - weight) * others, np.float32)

    def losses(self, output: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Binary cross-entropy of logits ``(N, classes)``, the mean over images and labels."""
        weights = None if self.weights is None else self.weights.to(output.device)
        wanted = targets * (1 - self.label_smoothing) + self.label_smoothing / 2
        return {"binary_cross_entropy": F.binary_cross_entropy_with_logits(output, wanted, pos_weight=weights)}

    def score(self) -> Score:
        """See `Task.score`."""
        return _MultiLabelScore(self.classes, self.thresholds or (DEFAULT_THRESHOLD,) * len(self.classes))

    def rank(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """See `Task.rank`."""
        return metrics["macro_f1"], -metrics["loss"]

    def settled(self, val: Evaluation | None) -> MultiLabel:
        """With the threshold for each label that has the largest F1 on ``val``."""
        if val is None:
            return self
        columns = zip(sigmoid(val.arrays["logits"]).T, val.arrays["target"].T, strict=True)
        chosen = tuple(best_threshold(scores, there) for scores, there in columns)
        settled = MultiLabel(self.classes, label_smoothing=self.label_smoothing, thresholds=chosen)
        settled.weights, settled.media = self.weights, self.media
        return settled

    def sentence(self, evaluation: Evaluation, part: str) -> str:
        """See `Task.sentence`."""
        count = len(evaluation.arrays["target"])
        right = round(evaluation.metrics["accuracy"] * count)
        return f"It gives {right:,} of {counted(count, f'{part} {self.media}')} exactly their labels."

    def exhibits(self, evaluation: Evaluation) -> list[Exhibit]:
        """Both error types by label, and the thresholds."""
        columns = ("class", "support", "recall", "precision", "f1", "missed", "false_alarms")
        note, nouns = f"{ERRORS_NOTE} Average precision does not depend on the threshold.", inflected(2, self.media)
        if self.thresholds:
            note += f" Each threshold has the largest F1 on the validation {nouns}; F1 on those very {nouns} flatters."
        return [
            Table(
                title="Label by label",
                columns=(
                    *("label", nouns, "recall", "precision", "F1", "missed", "false alarms"),
                    *("average precision", "threshold"),
                ),
                rows=cells(evaluation.details["per_class"], *columns, "average_precision", "threshold"),
                note=note,
            )
        ]

    def examples(self, evaluation: Evaluation, most: int) -> dict[str, list[tuple[int, str, str]]]:
        """The images with the largest loss among those with a mistake, and those nearest to a threshold."""
        arrays = evaluation.arrays
        scores, there = sigmoid(arrays["logits"]), arrays["target"]
        limits = np.array(self.thresholds or (DEFAULT_THRESHOLD,) * len(self.classes))
        said = scores >= limits

        def named(chosen: NDArray[np.bool_]) -> str:
            names = [self.classes[number] for number in np.flatnonzero(chosen)]
            more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
            return ", ".join(names[:_NAMES]) + more or "no label"

        def described(position: int) -> tuple[int, str, str]:
            return position, named(said[position]), f"has {named(there[position])}"

        wrong, doubt = (said != there).any(axis=1), np.abs(scores - limits).min(axis=1)
        return mistakes_and_doubts(wrong, arrays["loss"], doubt, most, described)


def best_threshold(scores: NDArray[np.float64], there: NDArray[np.bool_]) -> float:
    """The threshold with the largest F1, halfway between two scores; of equals the one nearest to 0.5.

    Args:
        scores: Probabilities ``(N,)``.
        there: Whether the label is there, ``(N,)``; 0.5 is the answer where it never is.
    """
    if not there.any():
        return DEFAULT_THRESHOLD
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    # What stands above a cut is said to have the label. Between equal scores there is no cut.
    cuts = np.flatnonzero(np.diff(ranked, append=-1.0) < 0)
    hits = np.cumsum(there[order])[cuts]
    f1 = 2 * hits / (cuts + 1 + there.sum())
    below = np.append(ranked, 0.0)[cuts + 1]
    limits = (ranked[cuts] + below) / 2
    best = np.flatnonzero(f1 == f1.max())
    return float(limits[best[np.argmin(np.abs(limits[best] - DEFAULT_THRESHOLD))]])


class _MultiLabelScore(Gathered):
    def __init__(self, classes: Sequence[str], thresholds: Sequence[float]) -> None:
        super().__init__()
        self.classes, self.thresholds = classes, thresholds

    def update(self, output: Tensor, targets: Tensor, indices: Tensor) -> None:
        logits = output.float()
        loss = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=1)
        self.keep(indices=indices, target=targets > 0, logits=logits, loss=loss)

    def evaluate(self, arrays: Mapping[str, NDArray[Any]]) -> Evaluation:
        from sklearn.metrics import average_precision_score  # takes seconds to import

        there = arrays["target"]
        # What is no number is neither there nor in a place of its own.
        scores = np.nan_to_num(sigmoid(arrays["logits"]), nan=0.0)
        said = scores >= np.array(self.thresholds)
        rates = Rates((there & said).sum(0), there.sum(0), said.sum(0))
        hits, said_or_there = rates.hits.sum(), rates.support.sum() + rates.calls.sum()
        average = [
            float(average_precision_score(there[:, number], scores[:, number])) if occurs else None
            for number, occurs in enumerate(rates.support)
        ]
        measured = [value for value in average if value is not None]
        metrics = {
            "macro_f1": rates.macro_f1(),
            "micro_f1": float(2 * hits / said_or_there) if said_or_there else 1.0,
            "accuracy": float((there == said).all(axis=1).mean()),
            "loss": float(arrays["loss"].mean(dtype=np.float64)),
        }
        if measured:
            metrics["map"] = float(np.mean(measured))
        own = zip(rates.rows(self.classes), average, map(float, self.thresholds), strict=True)
        per_class = [{**row, "average_precision": mean, "threshold": limit} for row, mean, limit in own]
        return Evaluation(metrics, {"per_class": per_class}, arrays)
