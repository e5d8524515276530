"""One network, stage by stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from svertka.zoo import registry
from svertka.zoo.records import NetRecord


def look(record: NetRecord, image_size: int) -> dict[str, Any]:
    """``stages`` and ``audit`` of a network at square images of the paper's channels; ``measured_at`` is their side.

    Raises:
        UserError: The network cannot take images of this size.
    """
    import torch

    from svertka.zoo.audit import PRINCIPLES, audit
    from svertka.zoo.measure import measure

    registry.check_side(record, image_size)
    arguments = {"image_size": image_size} if record.one_size else {}
    with torch.device("meta"):
        net = registry.build_any(record.name, record.as_counted(**arguments))
    measured = measure(net, *record.spatial(image_size))
    # The principles that it is held against are of images.
    spatial = record.spatial(image_size)
    findings = audit(measured, (record.channels, *spatial)) if len(spatial) == 2 else []
    return {
        "measured_at": image_size,
        "stages": [
            {
                "name": stage.name,
                "shape": list(stage.shape),
                "stride": stage.stride,
                "receptive_field": stage.receptive_field,
                "depth": stage.depth,
                "parameters": stage.parameters,
                "macs": stage.macs,
                "activation_bytes": stage.activation_bytes,
            }
            for stage in measured
        ],
        "audit": [
            {
                "principle": principle,
                "findings": [
                    {"stage": finding.stage, "figures": finding.figures}
                    for finding in findings
                    if finding.principle == principle
                ],
            }
            for principle in PRINCIPLES
        ],
    }


def draw(record: NetRecord, found: dict[str, Any], path: Path) -> None:
    """Draw what `look` found to the SVG file ``path``.

    Raises:
        UserError: The file cannot be written.
    """
    from svertka.report.architecture import Block, architecture
    from svertka.runtime.files import write_text

    stages, side = found["stages"], found["measured_at"]
    blocks = [
        Block("image", (record.channels, side, side)),
        *(
            Block(stage["name"], tuple(stage["shape"]), stage["receptive_field"], stage["parameters"], stage["macs"])
            for stage in stages
        ),
    ]
    write_text(path, architecture(record.name, f"{record.paper}, {record.year}", blocks))
