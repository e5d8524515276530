"""What can be learnt within a budget is found out by timing all that is repeated."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import nn

from svertka.training import speed
from svertka.training.budget import Option, Phase, choose_phase
from svertka.training.evaluation import evaluate
from svertka.workflows.training.frozen import Kind

if TYPE_CHECKING:
    from svertka.data.batching.batches import Batch, Loader
    from svertka.tasks.task import Task
    from svertka.workflows.training.frozen import FrozenMemory
    from svertka.workflows.training.stages import Clock, Data, Setup

_FORWARD_SHARE = 3  # a forward pass is about a third of a training step
_JUDGED = 8  # images, that are timed with


def plan_depth(
    times: Times,
    memory: FrozenMemory,
    depths: Sequence[int],
    learner: Callable[[int], tuple[nn.Module, tuple[int, ...]]],
    reads: Sequence[str],
    *,
    must: bool,
) -> Phase | None:
    """How much of a trained network learns, and for how long, of what the budget leaves.

    Args:
        times: How long all takes that is repeated.
        memory: Runs what is frozen.
        depths: How many stages may be frozen, from the most to the least.
        learner: From such a number to what learns then, and the shape of what it is given.
        reads: Stages that are read, for the time that it takes to run what is frozen.
        must: Whether something has to learn, however short the time.

    Returns:
        None where there is no time to learn anything.
    """
    counts = memory.counts()
    frozen = memory.seconds_an_image(reads) * sum(counts.values())
    found: list[Option] = []
    for depth in depths:
        module, size = learner(depth)
        # All pieces of an image are remembered; of its pixels, one piece is learnt from in an epoch.
        learnt = counts["train"] if depth else times.learnt
        epoch, judging = times.epoch(module, size, learnt, counts.get("val", 0), pixels=not depth)
        kinds = [Kind(*read) for read in getattr(module, "reads", ())]
        writing = memory.bytes_to_write(kinds)
        if depth and memory.lacking(kinds, writing):
            continue
        prepare = frozen + writing * memory.seconds_a_byte if depth else 0.0
        found.append(Option(depth, prepare, epoch, judging, times.after))
        if not found[-1].fits(times.left):
            break
    chosen = choose_phase(found, times.left)
    if chosen is None and must:
        chosen = _in_any_case(found, depths[0], times)
    return chosen


def _in_any_case(options: Sequence[Option], depth: int, times: Times) -> Phase:
    """What learns where there is no time for several epochs: something has to, from pixels if need be."""
    option = options[0] if options else Option(depth, 0.0, 0.0, 0.0, times.after)
    seconds = option.learning(times.left)
    if options and seconds > 0:
        return Phase(option.depth, max(1, option.epochs(times.left)), seconds, option)
    return option.anew(seconds + option.prepare)


def plan_epochs(times: Times, net: nn.Module, shape: tuple[int, ...], most: int) -> Phase:
    """As many epochs of the whole network as the budget has time for; one at least.

    Args:
        times: How long all takes that is repeated.
        net: The network.
        shape: (C, H, W) of the images.
        most: Epochs, at most.
    """
    epoch, judging = times.epoch(net, shape, times.learnt, times.images.get("val", 0), pixels=True)
    option = Option(0, 0.0, epoch, judging, times.after)
    epochs = max(1, option.epochs(times.left, most))
    return Phase(0, epochs, max(0.0, option.learning(times.left)), option)


class Times:
    """How long the parts of a run take that all ways to learn have in common.

    Args:
        setup: Says the budget; its network is what is judged in the end.
        data: What is learnt from.
        loaders: Batches of pixels, by part.
        clock: Says how much of the budget has gone.
    """

    def __init__(self, setup: Setup, data: Data, loaders: Mapping[str, Loader], clock: Clock) -> None:
        self.task, self.recipe, self.machine, self.clock = data.task, setup.recipe, setup.machine, clock
        self.images = {part: len(division.positions) for part, division in data.prepared.parts.items()}
        self.learnt = loaders["train"].learnt
        self.loading = _loading(loaders["train"])
        # Of one batch, which no processes need to be started for.
        judged = replace(loaders.get("val", loaders["train"]), workers=0)
        judging, self.scoring = _judging(setup.net, data.task, next(judged.in_order()))
        self.after = judging * sum(count for part, count in self.images.items() if part != "train")

    @property
    def left(self) -> float:
        """Seconds of the budget, without those that the judging at the end takes."""
        return self.recipe.budget - self.clock.elapsed - self.after

    def epoch(
        self, module: nn.Module, size: tuple[int, ...], learnt: int, judged: int, *, pixels: bool
    ) -> tuple[float, float]:
        """Seconds for an epoch of ``module``, and how many of these are for validation.

        So much is learnt from and judged, which are pixels, or remembered.
        """
        steps = speed.seconds_a_step(module, self.task, self.recipe, image_shape=size, machine=self.machine)
        step, loading = steps / self.recipe.batch, self.loading if pixels else 0.0
        judging = step * judged / _FORWARD_SHARE + (self.scoring + loading) * self.images.get("val", 0)
        return (step + loading) * learnt + judging, judging


def _loading(loader: Loader) -> float:
    """Seconds to decode and augment an image, where that is not done beside the learning."""
    if loader.workers:
        return 0.0
    batches = loader.training(0)
    batch = next(batches)  # the first makes what all need
    started = time.perf_counter()
    batch = next(batches, batch)
    return (time.perf_counter() - started) / len(batch.indices)


def _judging(net: nn.Module, task: Task, whole: Batch) -> tuple[float, float]:
    """Seconds to judge the network by an image, all in all, and without what the network itself computes."""
    batch = whole._replace(**{name: getattr(whole, name)[:_JUDGED] for name in ("inputs", "targets", "indices")})
    module = copy.deepcopy(net).cpu().float().eval()
    answers: list[Any] = []

    def answer(*given: Any) -> Any:
        answers.append(module(*given))
        return answers[-1]

    def seconds(forward: Callable[..., Any]) -> float:
        started = time.perf_counter()
        evaluate(forward, task, iter([batch]))
        return (time.perf_counter() - started) / len(batch.indices)

    seconds(module)  # warms up
    judging = seconds(answer)
    replayed = iter(answers)
    return judging, seconds(lambda *_: next(replayed))
