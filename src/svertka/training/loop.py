"""The training loop: one, for every task."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from svertka.errors import UserError
from svertka.tasks.task import Evaluation, Output, Task
from svertka.training.budget import Pace
from svertka.training.checkpoint import Checkpoint, Checkpoints
from svertka.training.contracts import Batches, Observer, Watcher
from svertka.training.ema import WeightAverage
from svertka.training.evaluation import evaluate
from svertka.training.machine import Machine, laid_out
from svertka.training.recipe import Recipe
from svertka.training.state import TrainingState
from svertka.training.step import Stepper, step_seed
from svertka.training.updates import OwnedUpdate


class InterruptedTrainingError(Exception):
    """Training stopped on request, after saving; says where."""


@dataclass(frozen=True)
class Outcome:
    """What came of training.

    Attributes:
        weights: State of the network that was best on validation, on the processor; of the last epoch where
            nothing was held out.
        best_epoch: Number of that epoch, counted from 1.
        history: A line an epoch: losses, metrics on validation, learning rate, seconds.
        seconds: Time by stage.
    """

    weights: dict[str, Tensor]
    best_epoch: int
    history: list[dict[str, float]]
    seconds: dict[str, float]


class Training:
    """A run of training, from its start or from a checkpoint to its end.

    Given the same arguments it always ends with the same bits on the same machine, however often it is cut: order
    and augmentation come from (seed, epoch, index), and the generator is seeded anew at every step.

    Args:
        net: The network; trained in place.
        task: What to learn.
        train: Batches to learn from.
        val: Batches to choose the best epoch by, or None.
        recipe: The recipe, with nothing left at ``auto``.
        machine: Devices, processes and precision.
        checkpoints: Where to save; None saves nothing.
        watcher: Is told how it goes.
        observer: Looks on; its record goes into the checkpoints.
        masks: By name of a parameter, of its shape: zeros where it is to stay zero, ones elsewhere.
        pace: Says how many epochs there are, where time is short; None for those of the recipe.
    """

    def __init__(
        self,
        net: nn.Module,
        task: Task,
        train: Batches,
        val: Batches | None,
        recipe: Recipe,
        *,
        machine: Machine,
        checkpoints: Checkpoints | None,
        watcher: Watcher,
        observer: Observer | None = None,
        masks: Mapping[str, Tensor] | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.task, self.train, self.val, self.recipe, self.pace = task, train, val, recipe, pace
        fabric = self.fabric = machine.fabric
        self.checkpoints, self.watcher, self.observer = checkpoints, watcher, observer or Observer()
        self.stepper = Stepper(net, task, recipe, fabric=fabric, masks=masks, observer=self.observer)
        self.module, self.updates = self.stepper.module, self.stepper.updates
        self.average = WeightAverage(net, recipe.ema) if recipe.ema else None
        self.steps_per_epoch = -(-train.batches // recipe.accumulate)
        self.steps = recipe.epochs * self.steps_per_epoch
        self.best: dict[str, Tensor] = {}
        self.state = TrainingState()
        self.saved_at = time.monotonic()

    def run(self) -> Outcome:
        """Train to the end.

        Raises:
            UserError: A loss or a weight is not finite, or a checkpoint cannot be written.
            InterruptedTrainingError: The watcher asked to stop; a checkpoint was saved.
        """
        samples, an_epoch = self.train.samples, self.steps_per_epoch
        self.observer.attach(self.module, self.task, self.updates, samples=samples, steps_an_epoch=an_epoch)
        self._restore()
        self._keep_pace()
        while self.state.epoch < self.recipe.epochs and not self._given_up():
            self._epoch()
        if self.pace:
            self.pace.over(self.state.epoch)
        weights = self.best or self._judged_weights()
        if not all(bool(value.isfinite().all()) for value in weights.values()):
            raise self._diverged("a weight is not finite")
        self.observer.ended()
        return Outcome(
            {name: value.detach().cpu().contiguous() for name, value in weights.items()},
            self.state.best_epoch + 1 if self.best else self.state.epoch,
            self.state.history,
            self.state.seconds,
        )

    def _epoch(self) -> None:
        state, recipe = self.state, self.recipe
        started = time.perf_counter()
        self.module.train()
        batches = self.train.training(state.epoch, state.batches_done)
        while state.batches_done < self.train.batches and state.steps < self.steps:
            count = min(recipe.accumulate, self.train.batches - state.batches_done)
            self._step(batches, count)
            self._clock("training", started)
            self._keep_pace()
            self._maybe_save()
            started = time.perf_counter()
        row = {"epoch": float(state.epoch + 1), **self._training_means(), **self._rates()}
        evaluation = None
        if self.val is not None:
            started = time.perf_counter()
            evaluation = self.judge(self.val)
            metrics = dict(evaluation.metrics)
            for name, value in metrics.items():
                if not math.isfinite(value):
                    raise self._diverged(f"the {name} on validation is {value}")
            row.update({f"val_{name}": value for name, value in metrics.items()})
            self._choose(metrics)
            self._clock("validation", started)
        row["seconds"] = self._learning()
        state.history.append(row)
        state.epoch += 1
        state.batches_done = 0
        state.sums = {}
        self.watcher.epoch(row)
        self.observer.epoch(row, evaluation)
        self._keep_pace()
        self._maybe_save()

    def _learning(self) -> float:
        """Seconds that the steps of this epoch took so far."""
        return self.state.seconds.get("training", 0.0) - sum(earlier["seconds"] for earlier in self.state.history)

    def _keep_pace(self) -> None:
        state, an_epoch = self.state, self.steps_per_epoch
        done = state.steps - state.epoch * an_epoch
        if self.pace is None or done == an_epoch:
            return
        spent = sum(state.seconds.values())
        if done:
            judging = state.seconds.get("validation", 0.0) / state.epoch if state.epoch else None
            epochs = self.pace.within(
                state.epoch, done, an_epoch, spent=spent, learning=self._learning(), judging=judging
            )
        else:
            epochs = self.pace.epochs(state.epoch, spent)
        steps = round(epochs * an_epoch)
        if steps != self.steps:
            self.steps = steps
            self.recipe = self.recipe.changed({"epochs": math.ceil(steps / an_epoch)})
            self.watcher.shortened(epochs)
            self.observer.shortened(self.recipe.epochs, steps)

    def _step(self, batches: Iterator[Any], count: int) -> None:
        # One movement of the weights by every update, from ``count`` batches.
        state = self.state
        sizes = [self.train.size(state.batches_done + number) for number in range(count)]
        self.stepper.take(batches, sizes, state.steps, lr=lambda owned: self._lr(owned, state.steps), told=self._told)
        if self.average:
            self.average.update(self.module, state.steps)
        state.batches_done += count
        state.steps += 1

    def _told(self, owned: OwnedUpdate, place: int, samples: int, losses: dict[str, float]) -> None:
        state, beginning = self.state, self._beginning(owned)
        for name, value in losses.items():
            if not math.isfinite(value):
                whose = f" of the update {owned.name!r}" if beginning else ""
                raise self._diverged(f"the loss term {name!r}{whose} is {value}", steps=state.steps + 1)
        for name, value in {"samples": 1.0, **losses}.items():
            key = beginning + name
            state.sums[key] = state.sums.get(key, 0.0) + value * samples
        named = {(beginning + name).replace("/", "_"): value for name, value in losses.items()}
        self.watcher.step(state.epoch, state.batches_done + place + 1, self.train.batches, named)

    def _beginning(self, owned: OwnedUpdate) -> str:
        """What names of an update's figures begin with; of one alone, nothing."""
        return f"{owned.name}/" if len(self.updates) > 1 else ""

    def _diverged(self, what: str, *, steps: int | None = None) -> UserError:
        self.observer.ended(what)
        step, epoch = steps or self.state.steps, min(self.state.epoch + 1, self.recipe.epochs)
        return UserError(
            f"training stopped at step {step} (epoch {epoch}): {what}",
            mend=f"try a lower learning rate (--lr {self.recipe.lr / 10:g}) or --clip 1",
        )

    def _lr(self, owned: OwnedUpdate, step: int) -> float:
        return owned.lr(step, self.steps_per_epoch, self.steps, self.state.plateau)

    def _rates(self) -> dict[str, float]:
        """Learning rates of the last step, as a line of the history has them."""
        rates = {}
        for owned in self.updates:
            name = self._beginning(owned).replace("/", "")
            rates[f"lr_{name}" if name else "lr"] = self._lr(owned, self.state.steps - 1)
        return rates

    def _training_means(self) -> dict[str, float]:
        """Loss terms of the epoch so far, as a line of the history has them; none of what has not run in it."""
        sums, means = self._over_processes(self.state.sums), {}
        for owned in self.updates:
            beginning = self._beginning(owned)
            own = {name.removeprefix(beginning): value for name, value in sums.items() if name.startswith(beginning)}
            samples = own.pop("samples", 0.0)
            terms = {name: value / samples for name, value in own.items()}
            if not beginning:
                means["train_loss"] = math.fsum(terms.values())
            if beginning or len(terms) > 1:
                means |= {f"train_{beginning}{name}".replace("/", "_"): value for name, value in terms.items()}
        return means

    def _over_processes(self, sums: dict[str, float]) -> dict[str, float]:
        if self.fabric.world_size == 1:
            return dict(sums)
        values = torch.tensor(list(sums.values()), dtype=torch.float64)
        total = self.fabric.all_reduce(values, reduce_op="sum")
        assert isinstance(total, Tensor)
        return dict(zip(sums, total.tolist(), strict=True))

    def judge(self, part: Batches) -> Evaluation:
        """Evaluate the weights, or their running mean, on a part."""
        from lightning_fabric.utilities import move_data_to_device

        training = self.module.training
        self.module.eval()
        torch.manual_seed(step_seed(self.recipe.seed, self.state.steps, self.fabric.global_rank, "judging"))
        weights = self._judged_weights()

        def forward(inputs: Tensor, *beside: Tensor) -> Output:
            self.observer.judging(inputs)
            laid = laid_out(self.fabric.to_device(inputs), self.stepper.layout)
            given = laid, *map(self.fabric.to_device, beside)
            with self.fabric.autocast():
                output: Output = torch.func.functional_call(self.module, weights, given, tie_weights=False)
            return move_data_to_device(output, torch.device("cpu"))

        result = evaluate(forward, self.task, part.in_order(), processes=self.fabric.world_size)
        self.module.train(training)
        return result

    def _judged_weights(self) -> dict[str, Tensor]:
        return self.average.state if self.average else self.module.state_dict()

    def _choose(self, metrics: dict[str, float]) -> None:
        state, rank = self.state, list(self.task.rank(metrics))
        if not state.best_rank or rank > state.best_rank:
            state.best_rank, state.best_epoch = rank, state.epoch
            state.stale = state.plateau_stale = 0
            self.best = {name: value.detach().clone() for name, value in self._judged_weights().items()}
            return
        state.stale += 1
        state.plateau_stale += 1
        waiting = any(owned.recipe.schedule == "plateau" for owned in self.updates)
        if waiting and state.plateau_stale >= self.recipe.step_epochs:
            state.plateau *= self.recipe.step_factor
            state.plateau_stale = 0

    def _given_up(self) -> bool:
        return bool(self.recipe.early_stop) and self.state.stale >= self.recipe.early_stop

    def _maybe_save(self) -> None:
        if self.checkpoints is None:
            return
        stopping = self.watcher.stopping()
        due = time.monotonic() - self.saved_at >= self.recipe.save_every
        if self.fabric.world_size > 1:  # all processes save together, or none
            stopping, due = self.fabric.broadcast((stopping, due))
        if not (stopping or due):
            return
        started = time.perf_counter()
        state = {**asdict(self.state), "sums": self._over_processes(self.state.sums), "seen": self.observer.state()}
        if self.fabric.is_global_zero:
            self.checkpoints.save(Checkpoint(state, self._tensors()))
        self.saved_at = time.monotonic()
        self._clock("saving", started)
        if stopping:
            epoch = min(self.state.epoch + 1, self.recipe.epochs)
            raise InterruptedTrainingError(f"in epoch {epoch} of {self.recipe.epochs}")

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"net/{name}": value for name, value in self.module.state_dict().items()}
        tensors |= {f"best/{name}": value for name, value in self.best.items()}
        if self.average:
            tensors |= {f"average/{name}": value for name, value in self.average.state.items()}
        for name, parameter in self.module.named_parameters():
            for owned in self.updates:
                for key, value in owned.optimizer.state.get(parameter, {}).items():
                    if value is not None:
                        tensors[f"optimizer/{name}/{key}"] = value
        return tensors

    def _restore(self) -> None:
        if self.checkpoints is None:
            return
        checkpoint, warnings = self.checkpoints.load()
        for warning in warnings:
            self.watcher.warn(warning)
        if checkpoint is None:
            return
        try:
            self._take_up(checkpoint)
        except (TypeError, KeyError, RuntimeError) as error:
            raise UserError(
                f"the checkpoint does not fit this release of svertka ({error!r})",
                where=self.checkpoints.newest.parent,
                mend="go on with the release that wrote it, or begin a new run",
            ) from error

    def _take_up(self, checkpoint: Checkpoint) -> None:
        state = dict(checkpoint.state)
        self.observer.restore(state.pop("seen", {}))
        self.state = TrainingState(**state)
        if not self.fabric.is_global_zero:  # the sums were saved over all processes
            self.state.sums = dict.fromkeys(self.state.sums, 0.0)
        groups: dict[str, dict[str, Tensor]] = {"net": {}, "best": {}, "average": {}, "optimizer": {}}
        for name, value in checkpoint.tensors.items():
            group, _, rest = name.partition("/")
            groups[group][rest] = value.to(self.fabric.device, copy=True)  # not where it lies in the file
        self.module.load_state_dict(groups["net"])
        self.best = groups["best"]
        if self.average:
            self.average.load(groups["average"])
        parameters = dict(self.module.named_parameters())
        for name, value in groups["optimizer"].items():
            owner, _, key = name.rpartition("/")
            parameter = parameters[owner]
            # Step counts stay on the processor, where the optimiser made them.
            value = value.cpu() if value.ndim == 0 else value.contiguous(memory_format=self._format(parameter))
            for owned in self.updates:
                if any(parameter is own for own in owned.parameters.values()):
                    owned.optimizer.state[parameter][key] = value

    @staticmethod
    def _format(parameter: Tensor) -> torch.memory_format:
        strided = parameter.ndim == 4 and parameter.is_contiguous(memory_format=torch.channels_last)
        return torch.channels_last if strided else torch.contiguous_format

    def _clock(self, stage: str, started: float) -> None:
        self.state.seconds[stage] = self.state.seconds.get(stage, 0.0) + time.perf_counter() - started
