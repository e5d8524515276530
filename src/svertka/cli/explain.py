"""``svertka explain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from svertka.cli._output import Json, Whole, print_json, say
from svertka.commands.explain.command import DEFAULT_METHODS
from svertka.commands.explain.command import explain as run_explain
from svertka.commands.explain.result import Explained
from svertka.wording import counted

Names = Annotated[tuple[str, ...], Parameter(negative=(), consume_multiple=True)]


def explain(
    model: Path,
    /,
    *images: Path,
    out: Path,
    method: Names = DEFAULT_METHODS,
    layer: Names = (),
    channel: Annotated[tuple[int, ...], Parameter(negative=(), consume_multiple=True)] = (),
    target: str | None = None,
    examples: Whole = 6,
    format: str | None = None,  # noqa: A002 (the user's word)
    threads: Whole | None = None,
    json: Json = False,
) -> None:
    """Show what a model has learnt, and what its predictions go by.

    Writes explain.html, a page on which a stage, a channel and an image are chosen by a click; its pictures as PNG;
    and explain.json. Without images, the golden inputs that the model file brings along are explained.

    Parameters
    ----------
    model
        Model file (.safetensors), a run's folder, or a network with published weights.
    images
        Image files and folders of them; or one data set as svertka train takes it.
    out
        Folder for all that is written.
    method
        Some of filters, maps, patches, deconvnet, maximisation, saliency, guided_backpropagation, integrated_gradients,
        occlusion, grad_cam, grad_cam_plus_plus, embedding, sanity, adversarial, pruning; or all. By default, the quick.
    layer
        Stages, as svertka nets NAME lists them; by default all. Class activation maps and embedding are of the last.
    channel
        Channels to show of every stage, from 0 on; by default, those that few images excite far more than most.
    target
        Class to explain; by default, what the model takes each image for.
    examples
        Images that are explained one by one, at most.
    format
        Format of the data set to insist on, such as folders. By default, it is looked at.
    threads
        How many to use; by default, all that this process may.
    """
    explained = run_explain(
        model,
        images,
        out=out,
        method=method,
        layer=layer,
        channel=channel,
        target=target,
        examples=examples,
        format=format,
        threads=threads,
        progress=not json,
    )
    if json:
        print_json(explained.to_json())
    else:
        _print(explained)


def _print(explained: Explained) -> None:
    for image in explained.images:
        say(f"{image['file']}: {image['predicted']}")
    methods = explained.methods
    if "sanity" in methods:
        told = ", ".join(f"{name.replace('_', ' ')} {value:.2f}" for name, value in methods["sanity"].items())
        say(f"rank correlation with random weights, low is well: {told}")
    if "adversarial" in methods:
        found = methods["adversarial"]
        say(
            f"score on {counted(found['images'], 'image')}, by {found['judged_by']}, for changes of so "
            "many levels of 255:"
        )
        say("  " + "  ".join(["levels".ljust(9), *(f"{level:>6}" for level in found["levels"])]))
        for name, scores in found["score"].items():
            say("  " + "  ".join([name.ljust(9), *(f"{score:6.1%}" for score in scores)]))
    if "pruning" in methods:
        found = methods["pruning"]
        wide = max(map(len, found["score"]), default=0)
        say(f"score on {counted(found['images'], 'image')}, by {found['judged_by']}, with so much of one stage pruned:")
        say("  " + "  ".join([" " * wide, *(f"{share:6.0%}" for share in found["shares"])]))
        for name, scores in found["score"].items():
            say("  " + "  ".join([name.ljust(wide), *(f"{score:6.1%}" for score in scores)]))
    for note in explained.notes:
        say(f"note: {note}")
    if explained.skipped:
        say(f"left out: {counted(len(explained.skipped), 'file')}")
    say(f"\npage: {explained.report}, and {counted(len(explained.pictures), 'picture')}")
