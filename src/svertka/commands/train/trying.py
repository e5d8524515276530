"""Two short tests before training: which learning rate, and whether the network can learn at all."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from svertka.commands.train.result import Trial
from svertka.errors import UserError
from svertka.exhibits import Curve, Curves, Facts
from svertka.report.page import Section, write_report
from svertka.runtime.files import make_folder
from svertka.training import speed
from svertka.training.machine import Machine
from svertka.training.range_test import find_rate
from svertka.training.signals import Background
from svertka.training.wiring import check_wiring
from svertka.wording import counted
from svertka.workflows.training.scratch import arguments_of, build

if TYPE_CHECKING:
    from svertka.layers.net import Net
    from svertka.workflows.training.job import Job

REPORT_NAMES = {"find_lr": "find-lr.html", "check_wiring": "wiring.html"}


def try_out(job: Job, test: str, out: Path | None) -> Trial:
    """Do a test on the network of a recipe.

    Args:
        job: All that is decided.
        test: ``find_lr`` or ``check_wiring``.
        out: Folder for a page with the curve.

    Raises:
        UserError: The network cannot be built like this, it begins from trained weights, or the loss never falls.
    """
    flag = f"--{test.replace('_', '-')}"
    if job.recipe.weights is not None:
        raise UserError(f"{flag} is for learning from scratch", mend="leave --weights out")
    net = _net(job)
    inputs = job.pixels()
    advance = functools.partial(job.display.working, "trying")
    loader = job.loader(inputs, "train", job.recipe)
    if test == "find_lr":
        found = find_rate(net, job.task, loader, job.recipe, machine=job.machine, advance=advance)
        done = Trial(test, True, found.suggestion, found.rates, found.losses, (), loader.samples)
    else:
        plain = dataclasses.replace(loader, part=dataclasses.replace(loader.part, mixing=None))
        targets = job.targets["train"]
        background = Background(mean=job.preprocess.mean, std=job.preprocess.std)
        if targets.ndim == 1 and job.task.exclusive:
            counts = np.bincount(targets, minlength=len(job.task.classes))
            background = dataclasses.replace(background, counts={"train": counts.tolist()})
        batch = next(iter(plain.training(0)))
        wired = check_wiring(
            net, job.task, batch, job.recipe, machine=job.machine, background=background, advance=advance
        )
        rates = (wired.lr,) * len(wired.losses)
        done = Trial(test, wired.ok, wired.lr, rates, wired.losses, wired.faults, wired.images)
    if out is None:
        return done
    report = make_folder(out) / REPORT_NAMES[test]
    _write_page(report, done, job)
    return dataclasses.replace(done, report=report)


def _net(job: Job) -> Net:
    preprocess = job.preprocess
    net = build(job.recipe, arguments_of(job.recipe, job.task, preprocess.height, preprocess.channels))
    shape = (preprocess.channels, preprocess.height, preprocess.width)
    chosen = speed.choose(net, job.task, job.recipe, image_shape=shape, machine=job.machine)
    job.recipe = job.recipe.changed(chosen._asdict())
    job.machine = Machine(job.recipe)
    job.check_batches(net, shape)
    return net


def _write_page(path: Path, done: Trial, job: Job) -> None:
    if done.test == "find_lr":
        # The suggestion is marked at the step that came nearest to it.
        mark = min(done.rates, key=lambda rate: abs(rate - done.lr))
        curve = Curves(
            title="Loss as the learning rate rises",
            x_label="learning rate",
            y_label="loss, running mean",
            curves=[Curve(name="", x=done.rates, y=done.losses)],
            mark=mark,
        )
        lead = f"Suggested learning rate: {done.lr:g}."
    else:
        curve = Curves(
            title="Loss of one batch",
            x_label="step",
            y_label="loss",
            curves=[Curve(name="", x=range(1, len(done.losses) + 1), y=done.losses)],
        )
        lead = f"One batch of {counted(done.images, 'image')} is {'' if done.ok else 'not '}learnt by heart."
    sections = [Section(name="What was measured", exhibits=[curve])]
    if done.faults:
        items = [(f"{number}", fault) for number, fault in enumerate(done.faults, 1)]
        facts = Facts(title="Likeliest first", items=items)
        sections.insert(0, Section(name="What is wrong", exhibits=[facts]))
    title = f"{job.recipe.net} on {job.prepared.dataset.root.resolve().name}"
    write_report(path, title=title, lead=lead, sections=sections)
