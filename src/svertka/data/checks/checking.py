"""The checks, in the order in which their findings are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from svertka.data.checks.boxes import odd_boxes, other_sizes
from svertka.data.checks.classes import imbalance, missing_classes, similar_labels
from svertka.data.checks.duplicates import duplicates, near_duplicates
from svertka.data.checks.files import (
    hidden_drawings,
    mistyped_files,
    odd_modes,
    orientations,
    unusable_files,
    unusual_sizes,
)
from svertka.data.checks.findings import SEVERITIES, Finding
from svertka.data.checks.leaks import groups, neighbours_by_name
from svertka.data.checks.masks import odd_masks
from svertka.data.checks.survey import Survey
from svertka.data.checks.unused import left_out_records, unannotated, unread_annotations, unused_classes, unused_images


@dataclass(frozen=True)
class Check:
    """One family of findings.

    Attributes:
        run: Looks for them.
        quick: Needs nothing but what training has decoded anyway, and takes seconds.
    """

    run: Callable[[Survey], Iterable[Finding]]
    quick: bool = True


CHECKS: tuple[Check, ...] = (
    Check(unusable_files),
    Check(left_out_records, quick=False),
    Check(unread_annotations, quick=False),
    Check(mistyped_files),
    Check(duplicates),
    Check(near_duplicates),
    Check(groups),
    Check(neighbours_by_name),
    Check(missing_classes),
    Check(unused_classes, quick=False),
    Check(similar_labels),
    Check(imbalance),
    Check(odd_boxes),
    Check(other_sizes),
    Check(odd_masks, quick=False),
    Check(unused_images, quick=False),
    Check(unannotated),
    Check(hidden_drawings, quick=False),
    Check(odd_modes),
    Check(orientations),
    Check(unusual_sizes),
)


def findings(survey: Survey, *, quick: bool = False) -> list[Finding]:
    """All that is found, errors first.

    Args:
        survey: What was seen of the data set.
        quick: Leave out what takes long.
    """
    found = [finding for check in CHECKS if check.quick or not quick for finding in check.run(survey)]
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))
