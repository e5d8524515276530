"""The step of training: every update of a task in turn, each on the same batches."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from svertka.tasks.task import Task
from svertka.training.contracts import Observer
from svertka.training.gathering import Gathered
from svertka.training.machine import laid_out
from svertka.training.recipe import Recipe
from svertka.training.updates import OwnedUpdate, check_whole, owned_updates, terms_of

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Told = Callable[[OwnedUpdate, int, int, dict[str, float]], None]
"""Is told the loss terms of a batch before anything is made of them: of which update, the batch's place in the step,
the samples that count in it, and the terms by name."""


class _Given(NamedTuple):
    """A batch where the network is; ``share`` is what its mean loss counts for in the step."""

    inputs: Tensor
    targets: Tensor
    share: float
    samples: int
    loading: float


class Stepper:
    """Takes the steps of a training; whoever times or tries a step takes the very same.

    Args:
        net: The network; moved to the device, and trained in place.
        task: What to learn.
        recipe: The recipe, with nothing left at ``auto``.
        fabric: Devices, processes and precision.
        masks: By name of a parameter, of its shape: zeros where it is to stay zero, ones elsewhere.
        observer: Looks on.

    Attributes:
        updates: What a step is made of.
        module: The network itself.

    Raises:
        UserError: The updates do not suit the network, or batches are accumulated whose pairs count.
    """

    def __init__(
        self,
        net: nn.Module,
        task: Task,
        recipe: Recipe,
        *,
        fabric: Fabric,
        masks: Mapping[str, Tensor] | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.fabric, self.recipe, self.observer = fabric, recipe, observer or Observer()
        self.layout = torch.channels_last if recipe.layout == "channels_last" else torch.contiguous_format
        self.module = net.to(memory_format=self.layout)
        check_whole(task, recipe)
        self._task, self._whole = task.name, task.whole_batch and fabric.world_size > 1
        self.updates = owned_updates(net, task, recipe, fabric.device)
        self._net: nn.Module | None = None
        if len(self.updates) == 1 and self.updates[0].update.parameters is None:
            # Fabric knows how to run this, on several processes too.
            self._net, optimizer = fabric.setup(net, self.updates[0].optimizer)
            self._optimizers = [optimizer]
        else:
            fabric.to_device(net)
            self._optimizers = [fabric.setup_optimizers(owned.optimizer) for owned in self.updates]
        parameters = dict(net.named_parameters())
        self._masked = [(parameters[name], fabric.to_device(mask)) for name, mask in (masks or {}).items()]
        self._mask()

    def take(
        self,
        batches: Iterator[Any],
        sizes: Sequence[int],
        step: int,
        *,
        seed: int | None = None,
        lr: Callable[[OwnedUpdate], float],
        told: Told | None = None,
    ) -> None:
        """Move the weights once by every update that is due.

        Args:
            batches: Next come those of this step.
            sizes: How many samples each of these has, over all processes.
            step: Counted from 0 over the whole run.
            seed: Of what is drawn in it; by default, it follows from the recipe's and the step.
            lr: The learning rate of an update.
            told: Is told the losses; what it raises ends the step.
        """
        self._share_buffers()
        due = [pair for pair in zip(self.updates, self._optimizers, strict=True) if pair[0].due(step)]
        kept: list[_Given] = []
        for number, (owned, optimizer) in enumerate(due):
            torch.manual_seed(self._seed(step, owned.name) if seed is None else seed)
            rate = lr(owned)
            for group in owned.optimizer.param_groups:
                group["lr"] = rate * group["scale"]
            arriving = iter(kept) if number else self._arriving(batches, sizes, kept if len(due) > 1 else None)
            with self._alone(owned):
                self.observer.before(step, owned.name)
                self._descend(owned, arriving, len(sizes), told)
                self._average_gradients(owned)
                self.observer.gradients()
                if self.recipe.clip:
                    self.fabric.clip_gradients(
                        self.module, optimizer, max_norm=self.recipe.clip, error_if_nonfinite=False
                    )
                optimizer.step()
                self._mask()
                optimizer.zero_grad()
                self.observer.after(rate)

    def _arriving(self, batches: Iterator[Any], sizes: Sequence[int], kept: list[_Given] | None) -> Iterator[_Given]:
        for size in sizes:
            asked = time.perf_counter()
            batch = next(batches)
            loading = time.perf_counter() - asked
            inputs = laid_out(self.fabric.to_device(batch.inputs), self.layout)
            # Every sample of the step counts alike, also where its last batch is a shorter or longer one.
            share = 1.0 if self._whole else batch.weight * (size / sum(sizes))
            samples = len(batch.indices) if batch.weight else 0
            given = _Given(inputs, self.fabric.to_device(batch.targets), share, samples, loading)
            if kept is not None:
                kept.append(given._replace(loading=0.0))
            yield given

    def _descend(self, owned: OwnedUpdate, arriving: Iterator[_Given], count: int, told: Told | None) -> None:
        """Gather the gradients of an update from the batches of a step."""
        for place, given in enumerate(arriving):
            with self._unsynchronised(enabled=place + 1 < count):
                losses = self._losses(owned, given) | owned.penalties()
                values = {name: loss.item() for name, loss in losses.items()}
                if told:
                    told(owned, place, given.samples, values)
                self.fabric.backward(torch.stack(list(losses.values())).sum() * given.share)
            self.observer.batch(given.inputs, given.targets, values, given.loading)

    def _losses(self, owned: OwnedUpdate, given: _Given) -> dict[str, Tensor]:
        net, targets = self.module if self._net is None else self._net, given.targets
        if self._whole:
            net = gathered = Gathered(net, self.fabric.device, len(given.inputs), given.samples)
            targets = gathered.gather(targets)
        if self._net is not None:
            return terms_of(owned.update, self._task, net, given.inputs, targets)
        # It may run parts of the network, so all of it runs in the chosen precision.
        with self.fabric.autocast():
            losses = terms_of(owned.update, self._task, net, given.inputs, targets)
        return {name: loss.float() for name, loss in losses.items()}

    @contextmanager
    def _alone(self, owned: OwnedUpdate) -> Iterator[None]:
        """Within, no parameter but those of an update requires a gradient."""
        if self._net is not None:  # it owns all
            yield
            return
        own = {id(parameter) for parameter in owned.parameters.values()}
        others = [
            parameter for parameter in self.module.parameters() if parameter.requires_grad and id(parameter) not in own
        ]
        try:
            for parameter in others:
                parameter.requires_grad_(False)
            yield
        finally:
            for parameter in others:
                parameter.requires_grad_(True)

    def _mask(self) -> None:
        with torch.no_grad():
            for parameter, mask in self._masked:
                parameter.mul_(mask)

    def _seed(self, step: int, name: str) -> int:
        return step_seed(self.recipe.seed, step, self.fabric.global_rank, name)

    # What Fabric does not do where a loss runs parts of the network, on several processes

    @property
    def _by_hand(self) -> bool:
        return self._net is None and self.fabric.world_size > 1

    def _unsynchronised(self, *, enabled: bool) -> AbstractContextManager[Any]:
        if self._net is None:
            return nullcontext()
        return self.fabric.no_backward_sync(self._net, enabled=enabled)  # type: ignore[arg-type]

    def _share_buffers(self) -> None:
        if self._by_hand:
            for buffer in self.module.buffers():
                torch.distributed.broadcast(buffer, 0)

    def _average_gradients(self, owned: OwnedUpdate) -> None:
        if not self._by_hand:
            return
        learning = [parameter for parameter in owned.parameters.values() if parameter.requires_grad]
        gradients = [parameter.grad for parameter in learning]
        there = torch.tensor([float(gradient is not None) for gradient in gradients], device=self.fabric.device)
        parts = [
            (torch.zeros_like(parameter) if gradient is None else gradient).reshape(-1).float()
            for parameter, gradient in zip(learning, gradients, strict=True)
        ]
        mean = self.fabric.all_reduce(torch.cat([there, *parts]), reduce_op="mean")
        assert isinstance(mean, Tensor)
        found, *means = torch.split(mean, [len(there), *map(len, parts)])
        for parameter, own, anywhere in zip(learning, means, found.tolist(), strict=True):
            if anywhere:
                parameter.grad = own.view(parameter.shape).to(parameter.dtype).clone()


def step_seed(seed: int, step: int, rank: int, name: str = "") -> int:
    """The seed of what dropout and the like draw at a step.

    It depends on the step alone, so no generator's state is saved.

    Args:
        seed: Of the run.
        step: Counted from 0 over the whole run.
        rank: Of the process.
        name: Of the update, if it has one.
    """
    text = f"{seed} {step} {rank} {name}".rstrip()
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
