"""What came of evaluating a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Evaluated:
    """How good a model is.

    Attributes:
        metrics: Fractions of one, but for ``loss``.
        per_class: What is measured of each class: recall, precision, F1 and both errors; IoU and more of masks. Empty
            for a task that measures nothing by class.
        confusion: Counts by true class (row) and predicted class (column), in the order of ``classes``; None where
            an image may have several labels. Of masks, pixels are counted.
        calibration: ``ece``, the expected calibration error, and by bin of scores how many were right; None where an
            image may have several labels.
        classes: Class names.
        judged_on: The part of the data that was used.
        images: Number of images in it, or of what its medium is.
        skipped: Files that were left out.
        rejection: For a model that refuses images: the ``limit`` of the distance, of these images (``known``) the
            false-reject rate, and of others (``unknown``), if there are any, the false-accept rate and the ``auroc``
            of the distance; rates with Wilson's interval at 95 %. Else None.
        media: What it was judged on: ``image``, ``series``.
    """

    metrics: Mapping[str, float]
    per_class: list[dict[str, Any]]
    confusion: list[list[int]] | None
    calibration: dict[str, Any] | None
    classes: tuple[str, ...]
    judged_on: str
    images: int
    skipped: tuple[dict[str, str], ...]
    rejection: dict[str, Any] | None = None
    media: str = "image"

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        values = dict(vars(self))
        return {**values, "classes": list(self.classes), "skipped": list(self.skipped)}
