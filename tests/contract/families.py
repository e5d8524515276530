"""Which networks a contract is tried on: all of them, or the cheapest of every family."""

import os
from collections.abc import Collection, Sequence

from svertka.zoo import registry
from svertka.zoo.figures import figures

FULL = bool(os.environ.get("SVERTKA_FULL"))


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
