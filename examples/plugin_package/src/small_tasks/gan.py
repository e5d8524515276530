"""Digits drawn by a GAN: two updates a step, and a picture out of noise.

I. Goodfellow et al., "Generative Adversarial Nets", NeurIPS 2014: the discriminator learns to tell drawn pictures from
real ones, the generator to be taken for real (the non-saturating loss of section 3).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from small_tasks.records import NOISE
from small_tasks.results import enlarged, grey
from svertka.annotations import Annotation
from svertka.data.batching.handling import ImageHandling
from svertka.data.preparing import Contents
from svertka.exhibits import Exhibit, Gallery, Picture, Table
from svertka.runtime.card import Card
from svertka.runtime.inputs import InputTransform
from svertka.runtime.outputs import OutputSpec
from svertka.runtime.preprocess import Preprocess
from svertka.runtime.series import SeriesTransform
from svertka.tasks.task import Choices, Evaluation, Score, Task, Update
from svertka.wording import counted

_SHOWN = 12  # pictures in the report
_ADAM = functools.partial(torch.optim.Adam, betas=(0.5, 0.999))  # as Radford et al. found that GANs need it


def noise_for(numbers: Tensor) -> Tensor:
    """Noise ``(N, 1, NOISE)`` that is always the same for the samples of these numbers ``(N,)``."""
    rows = [np.random.default_rng(number).standard_normal((1, NOISE)) for number in numbers.tolist()]
    return torch.from_numpy(np.stack(rows).astype(np.float32))


class Drawing(Task):
    """Pictures like those that are shown; none has a name."""

    name = "drawing"
    net_kind = "generator"
    exclusive = False
    headline = ("likeness",)
    classes = ()
    output = OutputSpec(channels=1)
    diagnostics = frozenset(
        {"unnormalised_input", "exploding_gradients", "dead_relus", "loader_bound", "duplicated_data"}
    )

    @classmethod
    def learnt_from(
        cls, labels: Sequence[Annotation], classes: Sequence[str], preprocess: InputTransform, choices: Choices
    ) -> Self:
        """See `Task.learnt_from`."""
        del labels, classes, preprocess
        choices.check_one_loss()
        return cls()

    @classmethod
    def of_card(cls, card: Card) -> Self:
        """See `Task.of_card`."""
        del card
        return cls()

    def targets(self, labels: Sequence[Annotation]) -> NDArray[np.int64]:
        """The number of each sample, which its noise in evaluation follows from."""
        return np.arange(len(labels))

    def trial_targets(self, net: nn.Module, inputs: Tensor) -> Tensor:
        """Numbers; the generator takes noise, and cannot be run on images to see what it says of them."""
        del net
        return torch.arange(len(inputs), device=inputs.device)

    def updates(self, net: nn.Module) -> tuple[Update, ...]:
        """The discriminator learns first, then the generator."""
        del net
        return (
            Update("discriminator", parameters=("discriminator",), loss=self._tell_apart, optimizer=_ADAM),
            Update("generator", parameters=("trunk", "head"), loss=self._be_taken_for_real, optimizer=_ADAM),
        )

    def _tell_apart(self, net: nn.Module, inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        del targets
        drawn = net(torch.randn(len(inputs), 1, NOISE, device=inputs.device)).detach()
        real, false = net.discriminator(inputs), net.discriminator(drawn)
        return {
            "real": F.binary_cross_entropy_with_logits(real, torch.ones_like(real)),
            "drawn": F.binary_cross_entropy_with_logits(false, torch.zeros_like(false)),
        }

    def _be_taken_for_real(self, net: nn.Module, inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        del targets
        said = net.discriminator(net(torch.randn(len(inputs), 1, NOISE, device=inputs.device)))
        return {"taken_for_real": F.binary_cross_entropy_with_logits(said, torch.ones_like(said))}

    def losses(self, output: Any, targets: Tensor) -> dict[str, Tensor]:
        """A GAN has no loss of outputs alone; see `updates`."""
        raise NotImplementedError

    def run(self, forward: Callable[..., Any], inputs: Tensor, targets: Tensor) -> Any:
        """The real pictures, and as many that the generator draws."""
        return inputs, forward(noise_for(targets))

    def output_of(self, outputs: Mapping[str, NDArray[np.float32]]) -> Tensor:
        """See `Task.output_of`."""
        return torch.from_numpy(outputs["picture"])

    def score(self) -> Score:
        """See `Task.score`."""
        return _Likeness()

    def rank(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """See `Task.rank`."""
        return (metrics["likeness"],)

    def sentence(self, evaluation: Evaluation, part: str) -> str:
        """See `Task.sentence`."""
        count = len(evaluation.arrays["real"])
        return f"Its pictures are {evaluation.metrics['likeness']:.0%} like {counted(count, f'{part} image')}."

    def exhibits(self, evaluation: Evaluation) -> list[Exhibit]:
        """Pictures that it draws, and the two distances that likeness is made of."""
        rows = [[name, value] for name, value in evaluation.details["distance"].items()]
        drawn = [
            Picture(image=enlarged(grey(pixels.reshape(8, 8))), caption=f"picture {number}", detail="")
            for number, pixels in enumerate(evaluation.arrays["drawn"][:_SHOWN], start=1)
        ]
        return [
            Gallery(title="Drawn", pictures=drawn),
            Table(title="How far drawn pictures are from real ones", columns=("of", "distance"), rows=rows),
        ]

    def examples(self, evaluation: Evaluation, most: int) -> dict[str, list[tuple[int, str, str]]]:
        """None: what is drawn stands for no image in particular."""
        del evaluation, most
        return {}


class _Likeness(Score):
    """The Fréchet distance between pixels of real and drawn pictures, as a share of that between real ones and grey."""

    def __init__(self) -> None:
        self._gathered: dict[str, list[NDArray[Any]]] = {"real": [], "drawn": [], "indices": []}

    def update(self, output: Any, targets: Tensor, indices: Tensor) -> None:
        del targets
        real, drawn = output
        self._gathered["real"].append(real.flatten(1).float().cpu().numpy())
        self._gathered["drawn"].append(drawn.flatten(1).float().cpu().numpy())
        self._gathered["indices"].append(indices.numpy())

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {name: np.concatenate(values) for name, values in self._gathered.items()}

    def evaluate(self, arrays: Mapping[str, NDArray[Any]]) -> Evaluation:
        real, drawn = arrays["real"].astype(np.float64), arrays["drawn"].astype(np.float64)
        means = float(((real.mean(0) - drawn.mean(0)) ** 2).sum())
        spreads = float(((real.std(0) - drawn.std(0)) ** 2).sum())
        grey = float((real.mean(0) ** 2).sum() + (real.std(0) ** 2).sum())
        likeness = max(0.0, 1 - (means + spreads) / grey) if grey else 0.0
        return Evaluation({"likeness": likeness}, {"distance": {"means": means, "deviations": spreads}}, dict(arrays))


class DrawingHandling(ImageHandling):
    """Learns from images, and takes noise."""

    least_classes = 0

    def measured(self, contents: Contents, positions: NDArray[np.int64]) -> InputTransform:
        """Pixels between −1 and 1, as the generator draws them, whatever their mean is."""
        measured = super().measured(contents, positions)
        assert isinstance(measured, Preprocess)
        half = (0.5,) * measured.channels
        return dataclasses.replace(measured, mean=half, std=half)

    def deployed_input(self, transform: InputTransform) -> InputTransform:
        """Noise is a series of one channel."""
        del transform
        return SeriesTransform(channels=1, length=NOISE, mean=(0.0,), std=(1.0,))

    def golden(self, prepared: Any, part: str, transform: InputTransform) -> list[NDArray[Any]]:
        """Noise that proves a model file."""
        del prepared, part, transform
        return list(noise_for(torch.arange(4)).numpy().transpose(0, 2, 1))
