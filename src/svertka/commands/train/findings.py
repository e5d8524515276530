"""What is found wrong with the data of a training, from what was decoded anyway."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from svertka.data.checks.checking import findings
from svertka.data.checks.survey import Survey

if TYPE_CHECKING:
    from svertka.data.checks.findings import Finding
    from svertka.data.preparing import Prepared
    from svertka.workflows.progress import Display


def quick_findings(prepared: Prepared) -> list[Finding]:
    """What `svertka.check` finds within seconds, of the images as they are divided now; nothing of other media."""
    if prepared.dataset.media != "image":
        return []
    parts = [""] * len(prepared.samples)
    for part, division in prepared.parts.items():
        for position in division.positions.tolist():
            parts[position] = part
    sizes = np.zeros((len(parts), 2), np.int64)  # of the images as they were, nothing is known any more
    survey = Survey(prepared.dataset, prepared.samples, parts, prepared.looks, sizes, groups=prepared.groups)
    return findings(survey, quick=True)


def say_findings(display: Display, found: Sequence[Finding]) -> None:
    """Say errors and warnings, a line each."""
    for finding in found:
        if finding.severity != "note":
            display.say(finding.line())
