"""SqueezeNet of torchvision."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from svertka.zoo.renaming import rename


def convert_torchvision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``features.0.weight`` … ``classifier.1.bias`` of either version become ours.

    Layers without weights are counted there too; the fire modules come in order.
    """
    rules = [(r"features\.0\.(\w+)", r"trunk.conv1.conv.\1"), (r"classifier\.1\.(\w+)", r"head.conv10.\1")]
    places = [key.split(".")[1] for key in state if key.endswith(".squeeze.weight")]
    for fire, place in enumerate(places, 2):
        rules.append((rf"features\.{place}\.(\w+\.\w+)", rf"trunk.fire{fire}.\1"))
    return rename(state, rules)
