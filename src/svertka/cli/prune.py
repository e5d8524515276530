"""``svertka prune``."""

from __future__ import annotations

from pathlib import Path

from svertka.cli._output import Json, Whole, print_json, print_table, say
from svertka.commands.prune.command import EPOCHS, STEPS
from svertka.commands.prune.command import prune as run_prune


def prune(
    model: Path,
    data: Path,
    /,
    *,
    out: Path,
    macs: float | None = None,
    sparsity: float | None = None,
    steps: Whole = STEPS,
    epochs: Whole = EPOCHS,
    lr: float | None = None,
    format: str | None = None,  # noqa: A002 (the user's word)
    json: Json = False,
) -> None:
    """Make a trained network smaller, in steps, each followed by training.

    Parameters
    ----------
    model
        Model file (.safetensors) or a run's folder.
    data
        A data set as svertka train takes it. Of the very data that the model was trained on, what was held out then is
        held out again.
    out
        Folder for the model files and the page with the curve; it must not exist.
    macs
        Take out channels so that this share of the multiply-accumulate operations is left: file and latency shrink.
        0.7 by default.
    sparsity
        Set this share of the weights to zero instead: the file shrinks once it is compressed.
    steps
        In how many steps that is done.
    epochs
        Of training after each step.
    lr
        Learning rate of that training at its highest; that of fine-tuning by default.
    format
        Format of the data set to insist on, such as csv. By default, it is looked at.
    """
    pruned = run_prune(
        model,
        data,
        out=out,
        macs=macs,
        sparsity=sparsity,
        steps=steps,
        epochs=epochs,
        lr=lr,
        format=format,
        progress=not json,
    )
    if json:
        print_json(pruned.to_json())
        return
    print_table(pruned.columns, pruned.rows, right=pruned.columns[1:])
    say(f"\n{pruned.sentence}\n\nmodel: {pruned.model}\npage:  {pruned.report}")
