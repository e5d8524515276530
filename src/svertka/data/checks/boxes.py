"""Boxes that cannot be right: outside their image, inverted, without area, tiny, or given twice."""

from __future__ import annotations

from collections.abc import Iterator

from svertka.annotations import Box, Boxes
from svertka.data.box_repair import fault_of
from svertka.data.checks.findings import Exhibited, Finding, images
from svertka.data.checks.survey import Survey
from svertka.wording import counted

_SHOWN = 8
_KINDS = {
    "boxes_not_finite": ("error", "with a coordinate that is no number", "draw them anew"),
    "inverted_boxes": ("error", "with left and right, or top and bottom, exchanged", "exchange them"),
    "zero_area_boxes": ("error", "without area", "delete or redraw them: no loss can be computed of them"),
    "boxes_outside": (
        "error",
        "reaching out of the image",
        "cut them at its border, or look whether the sizes in the annotation are those of the image",
    ),
    "tiny_boxes": ("warning", "of hardly any size", "look whether they are slips of the hand"),
    "repeated_boxes": ("warning", "there twice, with the same class", "delete one of each"),
}


def odd_boxes(survey: Survey) -> Iterator[Finding]:
    """``boxes_not_finite``, ``inverted_boxes``, ``zero_area_boxes``, ``boxes_outside``, ``tiny_boxes``,
    ``repeated_boxes``: each box under the first that fits."""
    found: dict[str, list[tuple[int, str]]] = {kind: [] for kind in _KINDS}
    for position, sample in enumerate(survey.samples):
        if not isinstance(sample.annotation, Boxes):
            continue
        height, width = survey.sizes[position].tolist()
        size = (height, width) if height else sample.annotation.size
        seen: set[tuple[str, float, float, float, float]] = set()
        for box in sample.annotation.boxes:
            record = (box.label, box.left, box.top, box.right, box.bottom)
            kind = fault_of(box, size) or ("repeated_boxes" if record in seen else None)
            seen.add(record)
            if kind:
                found[kind].append((position, _told(box)))
    for kind, (severity, what, mend) in _KINDS.items():
        if boxes := found[kind]:
            several = sorted({position for position, _ in boxes})
            yield Finding(
                kind=kind,
                severity="error" if severity == "error" else "warning",
                message=f"{counted(len(boxes), 'box')} {what}, in {images(len(several))}",
                mend=mend,
                count=len(boxes),
                files=[f"{survey.samples[position].name}: {told}" for position, told in boxes],
                exhibited=[
                    Exhibited(survey.samples[p].name, told, survey.samples[p].name) for p, told in boxes[:_SHOWN]
                ],
            )


def other_sizes(survey: Survey) -> Iterator[Finding]:
    """``sizes_differ``: the annotation tells of another size than the image has, so its boxes may lie elsewhere."""
    wrong: list[tuple[int, str]] = []
    for position in survey.usable.tolist():
        annotation = survey.samples[position].annotation
        if not isinstance(annotation, Boxes) or annotation.size is None:
            continue
        height, width = survey.sizes[position].tolist()
        if height and annotation.size != (height, width):
            told, there = annotation.size, (height, width)
            wrong.append((position, f"{told[1]}×{told[0]} in the annotation, {there[1]}×{there[0]} the image"))
    if wrong:
        yield Finding(
            kind="sizes_differ",
            severity="warning",
            message=f"{counted(len(wrong), 'annotation tells', 'annotations tell')} of another size than the image has",
            mend="look where the boxes lie: the image may have been resized or turned after it was annotated",
            count=len(wrong),
            files=[f"{survey.samples[position].name}: {told}" for position, told in wrong],
            exhibited=_exhibited(survey, wrong),
        )


def _told(box: Box) -> str:
    return f"{box.label} ({box.left:g}, {box.top:g}) to ({box.right:g}, {box.bottom:g})"


def _exhibited(survey: Survey, found: list[tuple[int, str]]) -> list[Exhibited]:
    return [Exhibited(survey.samples[p].name, told, survey.samples[p].name) for p, told in found[:_SHOWN]]
