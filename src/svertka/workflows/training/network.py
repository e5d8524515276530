"""The network of a recipe: built with random weights, or around the trunk of trained ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from svertka.errors import UserError
from svertka.layers.trunk import Classifier
from svertka.workflows.models import model_file
from svertka.zoo import registry
from svertka.zoo.records import kind_called
from svertka.zoo.transfer import Start, put_head, start_from, taps_of

if TYPE_CHECKING:
    from svertka.layers.net import Net
    from svertka.runtime.preprocess import Preprocess
    from svertka.tasks.task import Task
    from svertka.training.recipe import Recipe
    from svertka.zoo.records import NetRecord

_HIDDEN = 256
"""Units of the hidden layer of ``mlp``."""
_EXCLUSIVE = ("svm", "kernel_svm", "means")


def check_suits(net: str, task: Task) -> None:
    """Check that a network is of the kind that learns this.

    Raises:
        UserError: It is not.
    """
    record = registry.record(net)
    if record.kind != task.net_kind:
        found, wanted = record.traits, kind_called(task.net_kind)
        raise UserError(
            f"{net} predicts {found.gives}, and the annotations are for {task.name}",
            mend=f"give {wanted.suggested}; `svertka nets` lists all that predict {wanted.gives}",
        )


def random_net(recipe: Recipe, task: Task, shape: tuple[int, ...]) -> tuple[Net, dict[str, Any]]:
    """The network of a recipe with the random weights of its seed, and the constructor arguments that build it again.

    Args:
        recipe: Says which.
        task: What to learn.
        shape: Of one input.

    Raises:
        UserError: An option does not suit the network, or it cannot be built.
    """
    record = registry.record(recipe.net)
    flags = flag_arguments(recipe, record, side=shape[1])
    classes = task.output.classes  # a network that gives something else is built without
    own = {"in_channels": shape[0], **({"classes": len(classes)} if classes else {})}
    arguments = {**task.net_options(record.takes), **flags, **own}
    torch.manual_seed(recipe.seed)
    return registry.build_of(record, arguments), arguments


def flag_arguments(recipe: Recipe, record: NetRecord, *, side: int) -> dict[str, Any]:
    """Constructor arguments that follow from the recipe alone.

    Args:
        recipe: Says which.
        record: Of its network.
        side: Of the images, in pixels; of series, their length.

    Raises:
        UserError: An option does not suit the network.
    """
    for name, flag in (("classes", None), ("in_channels", "--channels"), ("image_size", "--image-size")):
        if name in recipe.net_options:
            mend = f"give {flag}" if flag else "the folders say how many there are"
            raise UserError(f"the net option {name!r} follows from the data", mend=mend)
    arguments: dict[str, Any] = {**recipe.net_options}
    if recipe.trunk is not None:
        if not record.takes("trunk"):
            raise UserError(f"{recipe.net} takes no other trunk", mend="leave --trunk out")
        arguments["trunk"] = {"net": recipe.trunk, "arguments": {}}
    if record.one_size:
        arguments["image_size"] = side
    if recipe.dropout is not None:
        if not record.takes("dropout"):
            raise UserError(f"{recipe.net} has no dropout", mend="leave --dropout out")
        arguments["dropout"] = recipe.dropout
    return arguments


def around_weights(recipe: Recipe, task: Task, transform: Preprocess, *, own_head: bool) -> Start:
    """The network of a recipe around the trunk of its trained weights.

    Args:
        recipe: Says which.
        task: What to learn.
        transform: What makes inputs of the images.
        own_head: Whether the head stays the network's own; else it is to be replaced.

    Raises:
        UserError: The weights cannot be used like this.
    """
    assert recipe.weights is not None
    return start_from(
        model_file(Path(recipe.weights)),
        classes=len(task.classes),
        in_channels=transform.channels,
        side=transform.height,
        own_head=own_head,
        net=recipe.net,
        options={**task.net_options(registry.record(recipe.net).takes), **recipe.net_options},
        seed=recipe.seed,
    )


def put_head_of(recipe: Recipe, task: Task, start: Start, side: int) -> None:
    """Put the head of a recipe on a trained trunk.

    Args:
        recipe: Its head is not the network's own.
        task: What to learn.
        start: Changed in place.
        side: Of the images, in pixels.

    Raises:
        UserError: The head or its taps do not suit.
    """
    assert isinstance(start.net, Classifier)  # flags are checked
    if recipe.head in _EXCLUSIVE and not task.exclusive:
        raise UserError(
            f"the head {recipe.head!r} gives an image one class, and here it may have several labels",
            mend="give --head linear, mlp or own",
        )
    taps = taps_of(start.net, recipe.taps, side)
    options: dict[str, Any] = {"taps": list(taps), "rule": "linear", "dropout": recipe.dropout or 0.0}
    if recipe.head == "mlp":
        options |= {"rule": "mlp", "hidden": _HIDDEN}
    elif recipe.head == "kernel_svm":
        options |= {"rule": "kernel", "supports": 0}  # fitting says how many
    if recipe.reject:
        options["reject"] = True
    put_head(start, options, side=side)
