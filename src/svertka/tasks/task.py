"""What a task is: the contract between what is learnt and the loop that learns it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from svertka.annotations import Annotation
from svertka.errors import UserError
from svertka.exhibits import Exhibit
from svertka.results import Result
from svertka.runtime.card import Card
from svertka.runtime.inputs import InputTransform
from svertka.runtime.outputs import OutputSpec

Output = Any
"""What a network says of a batch: a tensor, or a named tuple of tensors. Each task knows which."""


@dataclass(frozen=True)
class Evaluation:
    """What came of judging a network by one part of the data.

    Attributes:
        metrics: Metric by name, fractions of one but for ``loss``.
        details: More, as JSON: per class, confusions.
        arrays: By sample, in the order of the part; for pictures of the worst.
    """

    metrics: Mapping[str, float]
    details: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What a recipe says of how annotations are learnt.

    Attributes:
        label_smoothing: Share of a target that is spread over all classes.
        balanced: Every class counts alike; of several labels, each counts alike where it is there and where not.
        losses: Terms of the loss, of a task that has several to choose from; its own if none is named.
        border: Pixels between objects count for more, where the task knows them.
    """

    label_smoothing: float = 0.0
    balanced: bool = False
    losses: tuple[str, ...] = ()
    border: bool = False

    def check_one_loss(self) -> None:
        """See that no loss is named.

        Raises:
            UserError: One is, or borders are to count for more.
        """
        if self.losses or self.border:
            raise UserError(
                "a loss is named, and what is said of the images has but one", mend="leave out --loss and --border"
            )


class Score(ABC):
    """Gathers what is needed to evaluate, batch by batch; memory a sample is a few numbers."""

    @abstractmethod
    def update(self, output: Output, targets: Tensor, indices: Tensor) -> None:
        """Take in one batch."""

    @abstractmethod
    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was gathered, first axis a sample, with ``indices``: processes put theirs together."""

    @abstractmethod
    def evaluate(self, arrays: Mapping[str, NDArray[Any]]) -> Evaluation:
        """The evaluation of all that was gathered, by all processes, in the order of ``indices``."""


@dataclass(frozen=True)
class Update:
    """One movement of some of a network's parameters; a step of training is one or several of them in turn.

    While it runs, parameters of others require no gradient, so its loss may go through them and leaves nothing there.

    Attributes:
        name: Of letters, digits and -; of several updates, each has its own.
        parameters: Names of the parameters that it owns, or what these begin with, such as ``generator``; None for all.
        loss: From network, inputs and targets to loss terms by name, each a mean over the batch. Of several updates,
            each gets the network itself, so that it can run parts of it. What it draws comes from PyTorch's
            generator, which is seeded for every step and update.
        optimizer: By its name in a recipe, or what makes one of groups of parameters and ``lr``, such as
            ``partial(torch.optim.Adam, betas=(0.5, 0.999))``; None for that of the recipe.
        lr: Learning rate at its highest; None for that of the recipe.
        schedule: How that changes, by its name in a recipe; None for that of the recipe.
        every: It runs at the first step, and at every so-many-th from there on.
    """

    name: str
    parameters: tuple[str, ...] | None
    loss: Callable[[nn.Module, Tensor, Tensor], dict[str, Tensor]]
    optimizer: str | Callable[..., torch.optim.Optimizer] | None = None
    lr: float | None = None
    schedule: str | None = None
    every: int = 1


class Sampler(Protocol):
    """Says which samples are in which batch; `svertka.data.batching.samplers` has several."""

    def __len__(self) -> int:
        """Number of batches an epoch."""

    def size(self, number: int) -> int:
        """Samples of this batch of an epoch, over all processes."""

    def batches(self, epoch: int) -> Sequence[NDArray[np.int64]]:
        """The batches of an epoch, each for all processes together."""

    def shares(self, epoch: int, rank: int, world: int) -> Sequence[tuple[NDArray[np.int64], float]]:
        """What a process takes of each: samples, and what their mean loss counts for in the mean over all processes."""


class Task(ABC):
    """What an annotation becomes, what a step computes, which metrics count."""

    name: str
    """As cards name it, and its `svertka.task_records.record.TaskRecord`."""

    classes: tuple[str, ...]

    media: str = "image"
    """What is learnt from, as reports call it; of series, ``series``."""

    net_kind: str = "classifier"
    """What kind of network learns it; see `svertka.zoo.records.NetRecord`."""

    exclusive: bool
    """Whether an image has exactly one class."""

    headline: tuple[str, ...]
    """Metrics that are shown first; the first of them ranks."""

    thresholds: tuple[float, ...] = ()
    """From which score on a class is said to be there, for tasks that decide by class."""

    whole_batch: bool = False
    """Whether the loss goes by pairs of samples. On several processes it is given then what the network says of the
    whole batch, and all targets, as on one: it calls the network with the batch, and gets a row for each sample.
    Batches are not accumulated, as the pairs across them would be missing."""

    diagnostics: Set[str] | None = None
    """Which diagnoses make sense for it, of `svertka.training.diagnoses.diagnosing.DIAGNOSES`; None for all."""

    @classmethod
    @abstractmethod
    def learnt_from(
        cls, labels: Sequence[Annotation], classes: Sequence[str], transform: InputTransform, choices: Choices
    ) -> Self:
        """The task that training images ask for.

        Args:
            labels: What is said of them.
            classes: All names in them, in the order of the outputs.
            transform: How samples become inputs.
            choices: How it is learnt.

        Raises:
            UserError: It cannot be learnt so.
        """

    @classmethod
    @abstractmethod
    def of_card(cls, card: Card) -> Self:
        """The task of a model file."""

    @property
    def output(self) -> OutputSpec:
        """What its networks give, for the card."""
        return OutputSpec(classes=self.classes)

    @abstractmethod
    def targets(self, labels: Sequence[Annotation]) -> NDArray[Any]:
        """Targets from annotations, first axis a sample.

        Raises:
            UserError: An annotation has a name that is no class, or does not suit the task.
        """

    def net_options(self, accepts: Callable[[str], bool]) -> dict[str, Any]:
        """Constructor arguments of a network that follow from what is to be learnt.

        Args:
            accepts: Whether the network has an argument of this name.
        """
        del accepts
        return {}

    def output_of(self, outputs: Mapping[str, NDArray[np.float32]]) -> Output:
        """What the network says, from the raw outputs of an engine by name."""
        return torch.from_numpy(outputs["logits"])

    def some_targets(self, output: Output) -> Tensor:
        """Targets that suit an output of the network, whatever they say; to time a step with."""
        return torch.from_numpy(self.targets([self.classes[0]] * len(output))).to(output.device)

    def trial_targets(self, net: nn.Module, inputs: Tensor) -> Tensor:
        """Targets that suit such inputs, whatever they say; to try or time a step with. ``net`` is left in eval mode.

        A task whose network is not given what it learns from, such as a generator, says them without running it.
        """
        with torch.no_grad():
            return self.some_targets(net.eval()(inputs))

    def run(self, forward: Callable[..., Output], inputs: Tensor, targets: Tensor) -> Output:
        """The raw output for samples that are judged, both on the processor; ``forward`` runs the network."""
        del targets
        return forward(inputs)

    def sample_weights(self, targets: NDArray[Any]) -> NDArray[np.float64] | None:
        """What each sample, or each of its classes, counts for in the loss; None where all count alike."""
        del targets
        return None

    def mixed(self, targets: NDArray[Any], others: NDArray[Any], shares: NDArray[np.float64]) -> NDArray[Any]:
        """Targets of mixtures of two samples each, first axis N; `losses` takes them.

        Args:
            targets, others: Of the two.
            shares: How much of the first there is in each mixture, ``(N,)``.

        Raises:
            UserError: The task does not learn from mixtures.
        """
        del targets, others, shares
        raise UserError(f"{self.name} does not learn from mixed images", mend="leave mixup and cutmix out of --augment")

    @abstractmethod
    def losses(self, output: Output, targets: Tensor) -> dict[str, Tensor]:
        """Loss terms by name, each a mean over the batch. The loop sums them."""

    def step(self, net: nn.Module, inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """What one training step computes from a batch: one forward pass and the loss terms."""
        return self.losses(net(inputs), targets)

    def updates(self, net: nn.Module) -> tuple[Update, ...]:
        """What a step of training is made of, in order; by default, one update of all parameters by `step`.

        Args:
            net: What learns: the network, or what follows its frozen stages.
        """
        del net
        return (Update("", None, self.step),)

    def sampler(self, targets: NDArray[Any], *, batch: int, seed: int) -> Sampler | None:
        """Which samples to learn from are in a batch; None for each once an epoch, shuffled.

        Args:
            targets: Of the samples to learn from.
            batch: Samples a batch that the recipe asks for.
            seed: Of the run.

        Raises:
            UserError: The samples do not suffice.
        """
        del targets, batch, seed
        return None

    def _numbers_of(self, names: Iterable[str]) -> dict[str, int]:
        """The number of every class, once it is sure that all names are classes.

        Raises:
            UserError: One is not.
        """
        numbers = {name: number for number, name in enumerate(self.classes)}
        unknown = sorted(set(names) - numbers.keys())
        if unknown:
            raise UserError(
                f"the network does not know the class {unknown[0]!r}"
                + (f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""),
                mend=f"its classes are {', '.join(self.classes[:8])}{', …' if len(self.classes) > 8 else ''}",
            )
        return numbers

    @abstractmethod
    def score(self) -> Score:
        """A fresh score."""

    @abstractmethod
    def rank(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """What chooses the best epoch: the larger, the better."""

    def settled(self, val: Evaluation | None) -> Task:
        """The task with all that is chosen on validation data once training is over."""
        del val
        return self

    @abstractmethod
    def sentence(self, evaluation: Evaluation, part: str) -> str:
        """How good that is, in one sentence; ``part`` says of what part the samples were."""

    def colour_key(self) -> list[tuple[str, str]]:
        """The classes that have a colour in `panels`, with that colour as a page writes it."""
        return []

    def panels(
        self, image: NDArray[np.uint8], annotation: Annotation, predict: Callable[[NDArray[np.uint8]], Result]
    ) -> dict[str, NDArray[np.uint8]]:
        """What is shown of an example, side by side, by name: pictures of one size, ``(H, W, 3)`` uint8 RGB.

        Args:
            image: The example.
            annotation: What is said of it.
            predict: Says what the network says of an image.
        """
        del annotation, predict
        return {"image": image}

    @abstractmethod
    def exhibits(self, evaluation: Evaluation) -> list[Exhibit]:
        """Tables and pictures-to-be of an evaluation for the report."""

    @abstractmethod
    def examples(self, evaluation: Evaluation, most: int) -> dict[str, list[tuple[int, str, str]]]:
        """Samples worth looking at: by heading, at most ``most`` of (index, caption, detail)."""
