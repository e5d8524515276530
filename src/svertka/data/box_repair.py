"""Boxes that cannot be right: which fault one has, and what it should be.

The checks name these faults; training learns from what is repaired.
"""

from __future__ import annotations

import math
from dataclasses import replace

from svertka.annotations import Box, Boxes
from svertka.data.splitting.likeness import SIDE

_SLACK = 1.0  # pixels: some count edges from 1
_TINY = 2.0  # pixels
_TINY_SHARE = 2e-5  # of the image's area


def repaired(annotation: Boxes, size: tuple[int, int] | None) -> Boxes:
    """The boxes as they should be: inverted ones turned, those that reach out cut at the border; what has no area then,
    or is there twice, is left out.

    Args:
        annotation: Of an image; the size it tells is forgotten.
        size: Height and width of the upright image, where that is known.
    """
    kept: dict[tuple[str, float, float, float, float], Box] = {}
    for told in annotation.boxes:
        box = told
        if fault_of(box, size) == "inverted_boxes":
            across, down = sorted((box.left, box.right)), sorted((box.top, box.bottom))
            box = replace(box, left=across[0], top=down[0], right=across[1], bottom=down[1])
        if size and fault_of(box, size) == "boxes_outside":
            box = _cut(box, size)
        if fault_of(box, size) not in ("boxes_not_finite", "zero_area_boxes"):
            kept.setdefault((box.label, box.left, box.top, box.right, box.bottom), box)
    return Boxes(tuple(kept.values()))


def _cut(box: Box, size: tuple[int, int]) -> Box:
    height, width = size

    def within(side: float, most: int) -> float:
        return min(max(side, 0.0), float(most))

    return replace(
        box,
        left=within(box.left, width),
        top=within(box.top, height),
        right=within(box.right, width),
        bottom=within(box.bottom, height),
        polygons=tuple(
            tuple(within(side, height if place % 2 else width) for place, side in enumerate(outline))
            for outline in box.polygons
        ),
    )


def fault_of(box: Box, size: tuple[int, int] | None) -> str | None:
    """The kind of fault that a box has, as `svertka.data.checks.boxes.odd_boxes` names it; None if it has none.

    Args:
        box: In pixels.
        size: Height and width of the upright image, where that is known.
    """
    edges = (box.left, box.top, box.right, box.bottom)
    if not all(math.isfinite(edge) for edge in edges):
        return "boxes_not_finite"
    wide, high = box.right - box.left, box.bottom - box.top
    if wide < 0 or high < 0:
        return "inverted_boxes"
    if wide == 0 or high == 0:
        return "zero_area_boxes"
    if min(box.left, box.top) < -_SLACK:
        return "boxes_outside"
    if size is None:
        return None
    height, width = size
    if box.right > width + _SLACK or box.bottom > height + _SLACK:
        return "boxes_outside"
    # In images of a few pixels everything is small.
    if min(height, width) > SIDE and (min(wide, high) < _TINY or wide * high < _TINY_SHARE * height * width):
        return "tiny_boxes"
    return None
