"""Explain: what a model has learnt, and what it goes by."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svertka.commands.explain.result import Explained
from svertka.errors import UserError, nearest
from svertka.runtime.files import make_folder, write_text
from svertka.spelling import names_of, numbers_of, paths_of
from svertka.workflows.models import model_file
from svertka.workflows.progress import Display
from svertka.workflows.threads import using_threads

if TYPE_CHECKING:
    from svertka.commands.explain.study import Study
    from svertka.layers.net import Net
    from svertka.runtime.card import Card

REPORT_NAME, JSON_NAME = "explain.html", "explain.json"
METHODS = (
    "filters",
    "maps",
    "patches",
    "deconvnet",
    "maximisation",
    "saliency",
    "guided_backpropagation",
    "integrated_gradients",
    "occlusion",
    "grad_cam",
    "grad_cam_plus_plus",
    "embedding",
    "sanity",
    "adversarial",
    "pruning",
)
"""In the order in which they are run."""
DEFAULT_METHODS = (
    "filters",
    "maps",
    "patches",
    "deconvnet",
    "saliency",
    "guided_backpropagation",
    "grad_cam",
    "grad_cam_plus_plus",
    "embedding",
    "sanity",
)
"""The quick ones; `patches`, `deconvnet` and `embedding` take a pass over all images."""


def explain(
    model: str | PathLike[str],
    images: str | PathLike[str] | Iterable[str | PathLike[str]] = (),
    *,
    out: str | PathLike[str],
    method: str | Sequence[str] = DEFAULT_METHODS,
    layer: str | Sequence[str] = (),
    channel: int | str | Sequence[int] = (),
    target: str | None = None,
    examples: int = 6,
    format: str | None = None,  # noqa: A002 (the user's word)
    threads: int | None = None,
    progress: bool = True,
) -> Explained:
    """Explain a model: what its layers look for, and which pixels its predictions go by.

    Patches and the embedding are of all images; scores, and the images that are explained one by one, of those that the
    model has not learnt from, where the data set is the one that it was trained on. The model stays as it is.

    Args:
        model: Model file (.safetensors), a run's folder, or the name of a network with published weights.
        images: Image files and folders of them, or one data set as `train` takes it. Without any, the golden inputs
            that the model file brings along.
        out: Folder for the page, its pictures as PNG, and all of it as JSON; it is made where there is none.
        method: One or several names out of `METHODS`, or ``all``.
        layer: Stages to look into; all if none is named. The last of them is the one of class activation maps and the
            embedding; by default, that is the last that still says where things are.
        channel: Channels to show of every stage; by default, those that few images excite far more than most.
        target: The class to explain; by default, what the model takes each image for.
        examples: How many images are explained one by one, at most.
        format: Format of the data set to insist on; by default, it is looked at.
        threads: How many to use; all that the process may if not given.
        progress: Show progress on standard error.

    Raises:
        UserError: The model or an image cannot be used; a method, a stage or a class is unknown; or the folder cannot
            be written.
    """
    chosen, layers, channels = _chosen(names_of(method)), names_of(layer), numbers_of(channel)
    if examples < 1:
        raise UserError(f"examples is {examples}", mend="it must be at least 1")
    if any(channel < 0 for channel in channels):
        raise UserError(f"channel {min(channels)}", mend="channels are counted from 0 on")
    path = model_file(Path(model))
    if path.suffix.lower() != ".safetensors":
        raise UserError(
            "only a .safetensors model can be explained", where=path, mend="give the one it was exported from"
        )
    task = _Task(paths_of(images), Path(model), chosen, layers, channels, target, examples, format, Path(out))
    with using_threads(threads):
        return _explain(path, task, Display(show=progress))


@dataclass(frozen=True)
class _Task:
    """What is to be explained, as it was given."""

    images: list[Path]
    model: Path
    methods: tuple[str, ...]
    layers: tuple[str, ...]
    channels: tuple[int, ...]
    target: str | None
    examples: int
    format: str | None
    out: Path


def _explain(path: Path, task: _Task, display: Display) -> Explained:
    net, card = _load(path)
    from svertka.commands.explain.methods import show
    from svertka.commands.explain.page import write_page
    from svertka.commands.explain.study import Study
    from svertka.workflows.explaining.images import material
    from svertka.workflows.explaining.kinds import subject_of

    subject = subject_of(net, card)
    stages = subject.chosen_stages(task.layers)
    named = None if task.target is None else subject.class_number(task.target)
    found = material(task.images, task.model, card, display, format=task.format)
    for item in found.skipped[:5]:
        display.warn(f"skipped {item['file']}: {item['error']}")
    study = Study(
        subject=subject,
        material=found,
        shown=found.examples(task.examples),
        layer=stages[-1] if task.layers else subject.default_layer(),
        stages=stages,
        channels=tuple(dict.fromkeys(task.channels)),
        named=named,
        out=make_folder(task.out),
        display=display,
        embed="embedding" in task.methods,
    )
    seconds = {}
    for name in task.methods:
        started = time.perf_counter()
        show(name, study, task.methods)
        seconds[name] = time.perf_counter() - started
        display.say(f"{name}  {seconds[name]:.1f} s")
    report = study.out / REPORT_NAME
    write_page(report, study, path)
    explained = Explained(
        card.net,
        study.layer,
        stages,
        tuple(_image(study, number) for number in range(len(study.shown))),
        study.found,
        seconds,
        tuple(study.notes),
        found.skipped,
        tuple(study.files),
        report,
    )
    write_text(study.out / JSON_NAME, json.dumps(explained.to_json(), ensure_ascii=True, indent=1))
    return explained


def _chosen(methods: Sequence[str]) -> tuple[str, ...]:
    for name in methods:
        if name not in METHODS and name != "all":
            raise UserError(f"unknown method {name!r}", mend=nearest(name, (*METHODS, "all")))
    if not methods:
        raise UserError("no method is named", mend=f"one of: {', '.join(METHODS)}")
    return tuple(name for name in METHODS if name in methods or "all" in methods)


def _load(path: Path) -> tuple[Net, Card]:
    try:
        from svertka.zoo.modelfile import load_model
    except ModuleNotFoundError as error:
        raise UserError(f"explaining needs {error.name}", where=path, mend="pip install 'svertka[train]'") from error
    return load_model(path)


def _image(study: Study, number: int) -> dict[str, Any]:
    return {
        "file": study.material.names[int(study.shown[number])],
        "predicted": study.results[number].line(),
        "explained": study.subject.card.classes[int(study.target.classes[number])],
        **study.subject.told(study.target, number),
    }
