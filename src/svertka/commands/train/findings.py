"""What is found wrong with the data of a training, from what was decoded anyway."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from svertka.data.batching.handling import handling_for

if TYPE_CHECKING:
    from svertka.data.checks.findings import Finding
    from svertka.data.preparing import Prepared
    from svertka.workflows.progress import Display


def quick_findings(prepared: Prepared) -> list[Finding]:
    """What is found wrong within seconds, of the samples as they are divided now."""
    return handling_for(prepared).findings(prepared)


def say_findings(display: Display, found: Sequence[Finding]) -> None:
    """Say errors and warnings, a line each."""
    for finding in found:
        if finding.severity != "note":
            display.say(finding.line())
