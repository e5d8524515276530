"""What is found wrong with samples that are divided already, of what was read of them anyway."""

from __future__ import annotations

import numpy as np

from svertka.data.checks.checking import findings
from svertka.data.checks.findings import Finding
from svertka.data.checks.survey import Survey
from svertka.data.preparing import Prepared


def quick_findings_of_images(prepared: Prepared) -> list[Finding]:
    """What `svertka.check` finds within seconds, of the images as they are divided now."""
    return findings(survey_of(prepared), quick=True)


def survey_of(prepared: Prepared) -> Survey:
    """A data set as the checks see it, as it is divided now; what its files say is not known any more."""
    parts = [""] * len(prepared.samples)
    for part, division in prepared.parts.items():
        for position in division.positions.tolist():
            parts[position] = part
    sizes = np.zeros((len(parts), 2), np.int64)
    return Survey(prepared.dataset, prepared.samples, parts, prepared.looks, sizes, groups=prepared.groups)
