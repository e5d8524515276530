"""Digits embedded: like digits near one another, others far apart.

F. Schroff, D. Kalenichenko, J. Philbin, "FaceNet", CVPR 2015: of every anchor the hardest positive and the hardest
negative of the batch, as A. Hermans, L. Beyer, B. Leibe, "In Defense of the Triplet Loss", 2017.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from svertka.annotations import Annotation
from svertka.data.batching.samplers import PerClass, Sampler
from svertka.exhibits import Exhibit, Table
from svertka.runtime.card import Card
from svertka.runtime.inputs import InputTransform
from svertka.runtime.outputs import OutputSpec
from svertka.tasks.task import Choices, Evaluation, Score, Task
from svertka.wording import counted

_DIMENSIONS = 8
_MARGIN = 0.3


class Embedding(Task):
    """A vector an image, by the triplet loss; the first neighbour's class tells how good it is."""

    name = "embedding"
    net_kind = "embedder"
    exclusive = False
    headline = ("recall_at_1",)
    whole_batch = True
    output = OutputSpec(vector=_DIMENSIONS)

    def __init__(self, classes: Sequence[str] = ()) -> None:
        self.classes = tuple(classes)

    @classmethod
    def learnt_from(
        cls, labels: Sequence[Annotation], classes: Sequence[str], preprocess: InputTransform, choices: Choices
    ) -> Self:
        """See `Task.learnt_from`."""
        del labels, preprocess
        choices.check_one_loss()
        return cls(classes)

    @classmethod
    def of_card(cls, card: Card) -> Self:
        """See `Task.of_card`."""
        del card
        return cls()

    def targets(self, labels: Sequence[Annotation]) -> NDArray[np.int64]:
        """Class numbers ``(N,)``: what an image is near to."""
        names = [str(label) for label in labels]
        # A model file knows no classes: what it is judged by brings its own.
        numbers = self._numbers_of(names) if self.classes else {name: at for at, name in enumerate(sorted({*names}))}
        return np.array([numbers[name] for name in names], np.int64)

    def sampler(self, targets: NDArray[Any], *, batch: int, seed: int) -> Sampler:
        """Batches of some images of each of some classes, so that every anchor finds its like."""
        samples = 4
        classes = min(len(self.classes), max(2, batch // samples))
        return PerClass(targets, classes=classes, samples=samples, seed=seed)

    def losses(self, output: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """The batch-hard triplet loss of unit vectors ``(N, D)``."""
        distances = torch.cdist(output, output)
        same = targets[:, None] == targets
        farthest = distances.masked_fill(~same, -1).amax(1)
        nearest = distances.masked_fill(same, 4).amin(1)
        return {"triplet": F.relu(farthest - nearest + _MARGIN).mean()}

    def output_of(self, outputs: Mapping[str, NDArray[np.float32]]) -> Tensor:
        """See `Task.output_of`."""
        return torch.from_numpy(outputs["vector"])

    def score(self) -> Score:
        """See `Task.score`."""
        return _Neighbours(len(self.classes))

    def rank(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """See `Task.rank`."""
        return (metrics["recall_at_1"],)

    def sentence(self, evaluation: Evaluation, part: str) -> str:
        """See `Task.sentence`."""
        count = len(evaluation.arrays["target"])
        found = round(evaluation.metrics["recall_at_1"] * count)
        return f"Of {counted(count, f'{part} image')}, {found:,} are nearest to one of their own class."

    def exhibits(self, evaluation: Evaluation) -> list[Exhibit]:
        """The share found class by class."""
        rows = [[name, share] for name, share in zip(self.classes, evaluation.details["recall"], strict=False)]
        return [Table(title="Nearest neighbour of the same class", columns=("class", "share"), rows=rows)]

    def examples(self, evaluation: Evaluation, most: int) -> dict[str, list[tuple[int, str, str]]]:
        """Images that are nearest to one of another class."""
        arrays, classes = evaluation.arrays, self.classes
        wrong = np.flatnonzero(arrays["nearest"] != arrays["target"])[:most]
        return {
            "Nearest to another class": [
                (
                    int(place),
                    f"like {classes[arrays['nearest'][place]]}",
                    f"is {classes[arrays['target'][place]]}",
                )
                for place in wrong
            ]
        }


class _Neighbours(Score):
    def __init__(self, classes: int) -> None:
        self.classes = classes
        self._gathered: dict[str, list[NDArray[Any]]] = {"vector": [], "target": [], "indices": []}

    def update(self, output: Tensor, targets: Tensor, indices: Tensor) -> None:
        for name, values in (("vector", output.float()), ("target", targets), ("indices", indices)):
            self._gathered[name].append(values.cpu().numpy())

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {name: np.concatenate(values) for name, values in self._gathered.items()}

    def evaluate(self, arrays: Mapping[str, NDArray[Any]]) -> Evaluation:
        likeness = arrays["vector"] @ arrays["vector"].T
        np.fill_diagonal(likeness, -np.inf)
        target = arrays["target"]
        nearest = target[likeness.argmax(1)]
        right = nearest == target
        recall = [
            float(right[target == number].mean()) if (target == number).any() else 0.0 for number in range(self.classes)
        ]
        return Evaluation({"recall_at_1": float(right.mean())}, {"recall": recall}, {**arrays, "nearest": nearest})
