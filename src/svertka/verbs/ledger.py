"""The ledger: why parameters are counted differently."""

from __future__ import annotations

from typing import Any


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
