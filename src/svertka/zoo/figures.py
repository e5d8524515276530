"""Figures that take torch to compute, kept as a file so that listing the networks does not.

``python -m svertka.zoo.figures`` writes it anew; a test recomputes it.
"""

from __future__ import annotations

import functools
import json
from importlib import resources
from pathlib import Path

_FILE = "figures.json"


@functools.cache
def figures() -> dict[str, dict[str, int]]:
    """By network: ``macs`` and ``activation_bytes`` for one image of its own size and channels."""
    values: dict[str, dict[str, int]] = json.loads(resources.files(__package__).joinpath(_FILE).read_text("utf-8"))
    return values


def figures_of(name: str) -> dict[str, int]:
    """The figures of one network: those of the file; of a plug-in's network, computed now."""
    return figures().get(name) or compute(name)


@functools.cache
def compute(name: str) -> dict[str, int]:
    """The figures of one network, computed now."""
    import torch

    from svertka.zoo import registry
    from svertka.zoo.measure import measure

    record = registry.record(name)
    with torch.device("meta"):
        net = registry.build_any(name, record.as_counted())
    stages = measure(net, *record.spatial(record.image_size))
    return {
        "macs": sum(stage.macs for stage in stages),
        "activation_bytes": sum(stage.activation_bytes for stage in stages),
    }


def main() -> None:
    """Write the file."""
    from svertka.zoo import registry

    values = {record.name: compute(record.name) for record in registry.records()}
    Path(__file__).with_name(_FILE).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
