"""Two short tests before training: which learning rate, and whether the network can learn at all."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from svertka.commands.train.result import Trial
from svertka.exhibits import Curve, Curves, Facts
from svertka.report.page import Section, write_report
from svertka.runtime.files import make_folder
from svertka.runtime.preprocess import Preprocess
from svertka.training.range_test import find_rate
from svertka.training.signals import Background
from svertka.training.wiring import check_wiring
from svertka.wording import counted
from svertka.workflows.training.setting_up import set_up

if TYPE_CHECKING:
    from svertka.workflows.progress import Display
    from svertka.workflows.training.stages import Data, Plan

REPORT_NAMES = {"find_lr": "find-lr.html", "check_wiring": "wiring.html"}


def try_out(plan: Plan, data: Data, display: Display, test: str, out: Path | None) -> Trial:
    """Do a test on the network of a recipe.

    Args:
        plan: What was asked for.
        data: What is learnt from.
        display: Is told how it goes.
        test: ``find_lr`` or ``check_wiring``.
        out: Folder for a page with the curve.

    Raises:
        UserError: The network cannot be built like this, or the loss never falls.
    """
    setup = set_up(plan, data, display)
    recipe, machine, task, media = setup.recipe, setup.machine, data.task, data.transform.media
    advance = functools.partial(display.working, "trying")
    loader = data.loader(data.inputs(recipe.augment, recipe.seed), "train", setup, display)
    if test == "find_lr":
        found = find_rate(setup.net, task, loader, recipe, machine=machine, advance=advance)
        done = Trial(test, True, found.suggestion, found.rates, found.losses, (), loader.samples, media=media)
    else:
        plain = dataclasses.replace(loader, part=dataclasses.replace(loader.part, mixing=None))
        targets = data.targets["train"]
        background = Background()
        if isinstance(data.transform, Preprocess):
            background = Background(mean=data.transform.mean, std=data.transform.std)
        if targets.ndim == 1 and task.exclusive:
            counts = np.bincount(targets, minlength=len(task.classes))
            background = dataclasses.replace(background, counts={"train": counts.tolist()})
        batch = next(iter(plain.training(0)))
        wired = check_wiring(setup.net, task, batch, recipe, machine=machine, background=background, advance=advance)
        rates = (wired.lr,) * len(wired.losses)
        done = Trial(test, wired.ok, wired.lr, rates, wired.losses, wired.faults, wired.images, media=media)
    if out is None:
        return done
    report = make_folder(out) / REPORT_NAMES[test]
    _write_page(report, done, f"{recipe.net} on {data.prepared.dataset.root.resolve().name}")
    return dataclasses.replace(done, report=report)


def _write_page(path: Path, done: Trial, title: str) -> None:
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
        lead = f"One batch of {counted(done.images, done.media)} is {'' if done.ok else 'not '}learnt by heart."
    sections = [Section(name="What was measured", exhibits=[curve])]
    if done.faults:
        items = [(f"{number}", fault) for number, fault in enumerate(done.faults, 1)]
        facts = Facts(title="Likeliest first", items=items)
        sections.insert(0, Section(name="What is wrong", exhibits=[facts]))
    write_report(path, title=title, lead=lead, sections=sections)
