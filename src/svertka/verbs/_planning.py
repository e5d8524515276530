"""What can be learnt within a budget is found out by timing all that is repeated."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from torch import nn

from svertka.training import speed
from svertka.training.budget import Option, Phase, choose_phase
from svertka.training.evaluation import evaluate

if TYPE_CHECKING:
    from svertka.verbs._frozen import FrozenMemory
    from svertka.verbs._job import Job

_FORWARD_SHARE = 3  # a forward pass is about a third of a training step
_JUDGED = 8  # images, that are timed with


def plan(
    job: Job,
    memory: FrozenMemory,
    net: nn.Module,
    depths: Sequence[int],
    learner: Callable[[int], tuple[nn.Module, tuple[int, ...]]],
    reads: Sequence[str],
    *,
    must: bool,
) -> Phase | None:
    """What learns, and for how long, of what the recipe's budget leaves.

    Args:
        job: All that is decided.
        memory: Runs what is frozen.
        net: All that is judged in the end.
        depths: How many stages may be frozen, from the most to the least.
        learner: From such a number to what learns then, and the shape of what it is given.
        reads: Stages that are read, for the time that it takes to run what is frozen.
        must: Whether something has to learn, however short the time.

    Returns:
        None where there is no time to learn anything.
    """
    recipe, task = job.recipe, job.task
    images = {part: len(division.positions) for part, division in job.prepared.parts.items()}
    counts = memory.counts()
    frozen = memory.seconds_an_image(reads)
    loading = _loading(job)
    judging, scoring = _judging(job, net)
    after = judging * sum(count for part, count in images.items() if part != "train")
    val = images.get("val", 0)
    found: list[Option] = []
    for depth in depths:
        module, size = learner(depth)
        step = speed.seconds_a_step(module, task, recipe, image_shape=size, machine=job.machine) / recipe.batch
        # All pieces of an image are remembered; of its pixels, one piece is learnt from in an epoch.
        learnt = counts["train"] if depth else images["train"]
        epoch = step * (learnt + counts.get("val", 0) / _FORWARD_SHARE) + scoring * val
        if not depth:
            epoch += loading * (learnt + val)
        found.append(Option(depth, frozen * sum(counts.values()) if depth else 0.0, epoch))
        if not found[-1].fits(recipe.budget - job.clock.elapsed - after):
            break
    chosen = choose_phase(found, recipe.budget - job.clock.elapsed - after)
    return chosen or (Phase(found[0].depth, 1) if must else None)


def _loading(job: Job) -> float:
    """Seconds to decode and augment an image, where that is not done beside the learning."""
    if job.recipe.workers:
        return 0.0
    batches = job.loader(job.pixels(), "train", job.recipe).training(0)
    batch = next(batches)  # the first makes what all need
    started = time.perf_counter()
    batch = next(batches, batch)
    return (time.perf_counter() - started) / len(batch.indices)


def _judging(job: Job, net: nn.Module) -> tuple[float, float]:
    """Seconds to judge the network by an image, all in all, and without what the network itself computes."""
    inputs = job.pixels()
    whole = next(job.loader(inputs, "val" if "val" in inputs else "train", job.recipe).in_order())
    batch = whole._replace(**{name: getattr(whole, name)[:_JUDGED] for name in ("images", "targets", "indices")})
    module = copy.deepcopy(net).cpu().float().eval()
    answers: list[Any] = []

    def answer(*given: Any) -> Any:
        answers.append(module(*given))
        return answers[-1]

    def seconds(forward: Callable[..., Any]) -> float:
        started = time.perf_counter()
        evaluate(forward, job.task, iter([batch]))
        return (time.perf_counter() - started) / len(batch.indices)

    seconds(module)  # warms up
    judging = seconds(answer)
    replayed = iter(answers)
    return judging, seconds(lambda *_: next(replayed))
