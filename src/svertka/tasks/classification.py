"""Classification: one class an image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from svertka.annotations import Annotation
from svertka.errors import UserError
from svertka.exhibits import Exhibit, Matrix, Table
from svertka.runtime.card import Card
from svertka.runtime.inputs import InputTransform
from svertka.tasks.scoring import ERRORS_NOTE, Gathered, Rates, cells, mistakes_and_doubts
from svertka.tasks.task import Choices, Evaluation, Score, Task
from svertka.wording import counted, inflected

_BINS = 15  # of scores, as in Guo et al.


class Classification(Task):
    """Cross-entropy over the logits; accuracy chooses the best epoch, the loss decides between equals.

    Args:
        classes: Class names in the order of the logits.
        label_smoothing: Share of the target's mass that is spread over all classes (Szegedy et al., 2016).
        weights: What a sample of each class counts for in the loss, ``(classes,)``; all alike if not given.
    """

    name = "classification"
    exclusive = True
    headline = ("accuracy", "macro_f1")

    def __init__(
        self, classes: Sequence[str], *, label_smoothing: float = 0.0, weights: Sequence[float] | None = None
    ) -> None:
        self.classes = tuple(classes)
        self.label_smoothing = label_smoothing
        self.weights = None if weights is None else torch.tensor(weights, dtype=torch.float32)

    @classmethod
    def learnt_from(
        cls, labels: Sequence[Annotation], classes: Sequence[str], transform: InputTransform, choices: Choices
    ) -> Self:
        """See `Task.learnt_from`."""
        del transform
        choices.check_one_loss()
        counts = Counter(label for label in labels if isinstance(label, str))
        shares = [len(labels) / len(classes) / counts[name] for name in classes] if choices.balanced else None
        return cls(classes, label_smoothing=choices.label_smoothing, weights=shares)

    @classmethod
    def of_card(cls, card: Card) -> Self:
        """See `Task.of_card`."""
        return cls(card.classes)

    def targets(self, labels: Sequence[Annotation]) -> NDArray[np.int64]:
        """Class numbers ``(N,)`` by name.

        Raises:
            UserError: A label is no class of this network; or an image has several labels, or none.
        """
        names = [label for label in labels if isinstance(label, str)]
        if len(names) < len(labels):
            nouns = inflected(2, self.media)
            raise UserError(f"the {nouns} do not have one label each, and the network gives one class")
        numbers = self._numbers_of(names)
        return np.fromiter((numbers[name] for name in names), np.int64, len(names))

    def sample_weights(self, targets: NDArray[Any]) -> NDArray[np.float64] | None:
        """See `Task.sample_weights`: ``(N,)``."""
        return None if self.weights is None else self.weights.numpy().astype(np.float64)[targets]

    def mixed(self, targets: NDArray[Any], others: NDArray[Any], shares: NDArray[np.float64]) -> NDArray[np.float32]:
        """See `Task.mixed`: ``(N, classes)``, a probability each."""
        probabilities = np.zeros((len(targets), len(self.classes)), np.float32)
        rows = np.arange(len(targets))
        probabilities[rows, targets] = shares
        probabilities[rows, others] += (1 - shares).astype(np.float32)
        return probabilities

    def losses(self, output: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Cross-entropy of logits ``(N, classes)``; targets are class numbers or, of mixtures, probabilities."""
        weights = None if self.weights is None else self.weights.to(output.device)
        loss = F.cross_entropy(output, targets, weights, label_smoothing=self.label_smoothing)
        return {"cross_entropy": loss}

    def score(self) -> Score:
        """See `Task.score`."""
        return _ClassificationScore(self.classes)

    def rank(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """See `Task.rank`."""
        return metrics["accuracy"], -metrics["loss"]

    def sentence(self, evaluation: Evaluation, part: str) -> str:
        """See `Task.sentence`."""
        count = len(evaluation.arrays["target"])
        right = round(evaluation.metrics["accuracy"] * count)
        return f"It names {right:,} of {counted(count, f'{part} {self.media}')} correctly."

    def exhibits(self, evaluation: Evaluation) -> list[Exhibit]:
        """The confusion matrix, both error types by class, and how far scores are right."""
        columns = ("class", "support", "recall", "precision", "f1", "missed", "false_alarms")
        nouns = inflected(2, self.media)
        return [
            Matrix(
                title="What is taken for what",
                row_label="true class",
                column_label="predicted class",
                names=self.classes,
                counts=np.asarray(evaluation.details["confusion"], np.int64),
                note="A row is a true class; what lies off the diagonal is a mistake.",
            ),
            Table(
                title="Class by class",
                columns=("class", nouns, "recall", "precision", "F1", "missed", "false alarms"),
                rows=cells(evaluation.details["per_class"], *columns),
                note=ERRORS_NOTE,
            ),
            self._reliability(evaluation),
        ]

    def _reliability(self, evaluation: Evaluation) -> Table:
        calibration, nouns = evaluation.details["calibration"], inflected(2, self.media)
        return Table(
            title="Whether scores can be believed",
            columns=("score of the first class", nouns, "mean score", "share that is right"),
            rows=[
                [f"{row['from']:.0%} to {row['to']:.0%}", row["images"], row["confidence"], row["accuracy"]]
                for row in calibration["bins"]
            ],
            note=f"The expected calibration error, the mean distance of the last two columns by {nouns}, is "
            f"{calibration['ece']:.1%} (Guo et al., 2017).",
        )

    def examples(self, evaluation: Evaluation, most: int) -> dict[str, list[tuple[int, str, str]]]:
        """The surest mistakes, and the images where the first two classes are nearly even."""
        arrays = evaluation.arrays

        def described(position: int) -> tuple[int, str, str]:
            guess = self.classes[arrays["predicted"][position]]
            truth = self.classes[arrays["target"][position]]
            caption = f"{guess} {arrays['confidence'][position]:.0%}"
            return position, caption, f"is {truth}"

        wrong = arrays["predicted"] != arrays["target"]
        return mistakes_and_doubts(wrong, arrays["confidence"], arrays["margin"], most, described)


class _ClassificationScore(Gathered):
    def __init__(self, classes: Sequence[str]) -> None:
        super().__init__()
        self.classes = classes

    def update(self, output: Tensor, targets: Tensor, indices: Tensor) -> None:
        logits = output.float()
        probabilities = logits.softmax(dim=1)
        top = probabilities.topk(min(2, probabilities.shape[1]), dim=1)
        own = logits.gather(1, targets[:, None])
        # Between equals the first class comes first, as in prediction, so that a network that says nothing gains
        # nothing; and what is no number is not overtaken.
        earlier = torch.arange(logits.shape[1], device=logits.device) < targets[:, None]
        ranks = (~(logits <= own) | ((logits == own) & earlier)).sum(dim=1)
        self.keep(
            indices=indices,
            target=targets,
            predicted=logits.argmax(dim=1),
            confidence=top.values[:, 0],
            margin=top.values[:, 0] - top.values[:, -1],
            loss=F.cross_entropy(logits, targets, reduction="none"),
            rank=ranks,
        )

    def evaluate(self, arrays: Mapping[str, NDArray[Any]]) -> Evaluation:
        target, predicted = arrays["target"], arrays["predicted"]
        count = len(self.classes)
        confusion = np.bincount(target * count + predicted, minlength=count * count).reshape(count, count)
        rates = Rates(np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0))
        metrics = {
            "accuracy": float(np.mean(target == predicted)),
            "macro_f1": rates.macro_f1(),
            "loss": float(arrays["loss"].mean(dtype=np.float64)),
        }
        if len(self.classes) > 5:
            metrics["top5"] = float(np.mean(arrays["rank"] < 5))
        calibration = _calibration(arrays["confidence"].astype(np.float64), target == predicted)
        details = {"per_class": rates.rows(self.classes), "confusion": confusion.tolist(), "calibration": calibration}
        return Evaluation(metrics, details, arrays)


def _calibration(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> dict[str, Any]:
    # C. Guo et al., "On Calibration of Modern Neural Networks", 2017: bins of equal width; empty ones are left out.
    place = np.clip(np.ceil(confidence * _BINS) - 1, 0, _BINS - 1)
    bins = [
        {
            "from": number / _BINS,
            "to": (number + 1) / _BINS,
            "images": int(inside.sum()),
            "confidence": float(confidence[inside].mean()),
            "accuracy": float(right[inside].mean()),
        }
        for number in range(_BINS)
        if (inside := place == number).any()
    ]
    ece = sum(row["images"] * abs(row["accuracy"] - row["confidence"]) for row in bins) / len(right)
    return {"ece": ece, "bins": bins}
