"""``svertka compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from svertka.cli._output import Json, Whole, duration, print_json, print_table, say
from svertka.commands.compare.advice import COLUMNS, row
from svertka.commands.compare.command import NETS
from svertka.commands.compare.command import compare as run_compare
from svertka.commands.compare.result import Compared
from svertka.wording import counted

Names = Annotated[list[str] | None, Parameter(negative=(), consume_multiple=True)]


def compare(
    data: Path,
    /,
    *,
    weights: Names = None,
    net: Names = None,
    budget: Annotated[float, Parameter(converter=duration)] = 60.0,
    max_images: Whole = 2000,
    format: str | None = None,  # noqa: A002 (the user's word)
    out: Path | None = None,
    seed: Whole = 0,
    threads: Whole | None = None,
    json: Json = False,
) -> None:
    """Hold several ways of learning against each other on a folder of images, and say which to take.

    Colours and gradients with an SVM, a random forest and nearest neighbours; trained networks, frozen and fine-tuned;
    networks from scratch. All learn from the same images and are judged by the same others.

    Parameters
    ----------
    data
        A data set as svertka train takes it. Without a test part, validation images are what is judged by, and others
        are taken from training to choose by.
    weights
        Trained weights, one or several: a network with published weights, a model file, or a run's folder; or none.
        By default efficientnet_lite0, where its package is installed.
    net
        Networks to train from scratch, one or several; or none. By default resnet20_cifar.
    budget
        Time of training for each network, such as 90s or 3m: as many epochs are trained as fit in. Running frozen
        stages and fitting a head come on top.
    max_images
        Images of each part that are used, at most, drawn class by class.
    format
        Format of the data set to insist on, such as csv. By default, it is looked at.
    out
        Folder for compare.html and, if it is a network, the model of the advised way; it must not exist. By default
        nothing is written.
    seed
        Of everything random.
    threads
        How many to use; by default, all that this process may.
    """
    compared = run_compare(
        data,
        weights=weights,
        net=NETS if net is None else net,
        budget=budget,
        max_images=max_images,
        format=format,
        out=out,
        seed=seed,
        threads=threads,
        progress=not json,
    )
    if json:
        print_json(compared.to_json())
    else:
        _print(compared)


def _print(compared: Compared) -> None:
    say(f"on {compared.judged_on}, {counted(compared.images['test'], 'image')}:\n")
    print_table(COLUMNS, [row(way) for way in compared.ways], right=COLUMNS[2:])
    for item in compared.left_out:
        say(f"left out: {item['name']}: {item['error']}")
    if compared.skipped:
        say(f"left out: {counted(len(compared.skipped), 'file')}")
    say(f"\n{compared.advice.text}")
    if compared.report is not None:
        say(f"\nreport: {compared.report}" + (f"\nmodel:  {compared.model}" if compared.model else ""))
