"""VGG of torchvision and of Keras."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from torch import Tensor

from svertka.zoo.keras import flattened
from svertka.zoo.renaming import rename


def convert_torchvision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``features.0.weight`` … ``classifier.6.bias`` of any depth, with or without normalisation, become ours.

    Layers without weights are counted there too, so that the groups show in where the numbers jump.
    """
    rules = [
        (r"classifier\.0\.(\w+)", r"head.fc6.\1"),
        (r"classifier\.3\.(\w+)", r"head.fc7.\1"),
        (r"classifier\.6\.(\w+)", r"head.fc8.\1"),
    ]
    places = [int(key.split(".")[1]) for key, value in state.items() if key.startswith("features.") and value.ndim == 4]
    normalised = f"features.{places[0] + 1}.running_mean" in state
    group, number = 1, 0
    for before, place in pairwise([places[0], *places]):
        pooled = place - before > (3 if normalised else 2)
        group, number = (group + 1, 1) if pooled else (group, number + 1)
        rules.append((rf"features\.{place}\.(\w+)", rf"trunk.conv{group}.conv{group}_{number}.\1"))
        rules.append((rf"features\.{place + 1}\.(\w+)", rf"trunk.conv{group}.norm{group}_{number}.\1"))
    return rename(state, rules)


def convert_keras(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``block1_conv1.weight`` … ``predictions.bias`` become ours."""
    rules = (
        (r"block(\d)_conv(\d)\.(\w+)", r"trunk.conv\1.conv\1_\2.\3"),
        (r"fc1\.(\w+)", r"head.fc6.\1"),
        (r"fc2\.(\w+)", r"head.fc7.\1"),
        (r"predictions\.(\w+)", r"head.fc8.\1"),
    )
    return rename({**state, "fc1.weight": flattened(state["fc1.weight"], 512, 7, 7)}, rules)
