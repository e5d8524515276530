"""Which networks a contract is tried on: all of them, or the cheapest of every family."""

import os
from collections.abc import Collection, Sequence
from typing import Any

from svertka.zoo import registry
from svertka.zoo.figures import figures

FULL = bool(os.environ.get("SVERTKA_FULL"))
SHORTER: dict[str, dict[str, Any]] = {
    "densenet121": {"depths": (2, 2, 2, 2)},
    "efficientnet_lite0": {"depth": 0.3},
    "nasnet_mobile": {"cells": 1},
    "resnet50_v2": {"depths": (1, 1, 1, 1)},
    "resnext50_32x4d": {"depths": (1, 1, 1, 1)},
}
"""Networks of fewer blocks: what is in them is the same, and exporting and explaining takes a tenth of the time."""


def cheapest(nets: Sequence[registry.NetRecord], *, without: Collection[str] = ()) -> list[registry.NetRecord]:
    """The cheapest of every family among ``nets``, or with ``SVERTKA_FULL`` set all: the large take minutes each.

    Args:
        nets: To choose from.
        without: Families to leave out, by the names of their files.
    """
    if FULL:
        return list(nets)
    cost = {record.name: figures()[record.name]["macs"] for record in nets}
    modules = [module for module in registry.families() if module.__name__.rpartition(".")[2] not in without]
    families = [[record for record in module.NETS if record in nets] for module in modules]
    return [min(family, key=lambda record: cost[record.name]) for family in families if family]
