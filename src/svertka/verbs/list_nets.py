"""Listing the networks, and looking at one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from svertka.zoo import registry


@dataclass(frozen=True)
class StageReport:
    """One stage of a network at its own image size.

    Attributes:
        name: Name of the stage; ``head`` for the head.
        shape: Shape of its output without the batch axis.
        stride: In input pixels; None where there is no spatial extent left.
        parameters: Number of parameters.
    """

    name: str
    shape: tuple[int, ...]
    stride: int | None
    parameters: int


def list_nets(name: str | None = None) -> list[dict[str, Any]]:
    """Records of all networks, or of one, with its stages.

    Raises:
        UserError: There is no such network.
    """
    if name is None:
        return [_summary(record) for record in registry.records()]
    record = registry.record(name)
    return [{**_summary(record), "stages": [vars(stage) for stage in _stages(record)]}]


def _summary(record: registry.NetRecord) -> dict[str, Any]:
    return {
        "name": record.name,
        "year": record.year,
        "parameters": record.parameters,
        "classes": record.classes,
        "image_size": record.image_size,
        "channels": record.channels,
        "paper": record.paper,
    }


def _stages(record: registry.NetRecord) -> list[StageReport]:
    import torch

    with torch.device("meta"):
        net = registry.build(record.name, {})
    shapes = net.trunk.shapes(record.image_size, record.image_size)
    geometry = net.trunk.geometry(record.image_size, record.image_size)
    stages = [
        StageReport(stage, shapes[stage], geometry[stage].stride, _count(getattr(net.trunk, stage)))
        for stage in net.trunk.names
    ]
    return [*stages, StageReport("head", (net.classes,), None, _count(net.head))]


def _count(module: Any) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
