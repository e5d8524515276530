"""Masks that do not fit their images or their classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from svertka.annotations import Mask
from svertka.data.checks.findings import Exhibited, Finding
from svertka.data.checks.survey import Survey
from svertka.data.readers.masks import MaskFile
from svertka.errors import UserError
from svertka.wording import counted

_SHOWN = 8
_UNSAID = 255


@dataclass
class _Seen:
    """What was seen of all masks; by position in the survey, with what is told of each."""

    broken: list[tuple[int, str]] = field(default_factory=list)
    sizes: list[tuple[int, str]] = field(default_factory=list)
    values: list[tuple[int, str]] = field(default_factory=list)
    empty: list[tuple[int, str]] = field(default_factory=list)
    numbers: set[int] = field(default_factory=set)
    black_and_white: int = 0
    names: tuple[str, ...] = ()


def odd_masks(survey: Survey) -> Iterator[Finding]:
    """``unreadable_masks``, ``mask_sizes``, ``mask_values``, ``empty_masks``, ``masks_of_0_and_255``,
    ``classes_not_in_masks``."""
    seen = _look(survey)
    no_class = f"values that are none of the {counted(len(seen.names), 'class')}"
    yield from _finding(
        survey, "unreadable_masks", seen.broken, ("mask cannot be read", "masks cannot be read"), "get them again"
    )
    yield from _finding(
        survey,
        "mask_sizes",
        seen.sizes,
        ("mask has another size than its image", "masks have another size than their image"),
        "bring them to the image's size",
    )
    yield from _finding(
        survey,
        "mask_values",
        seen.values,
        (f"mask has {no_class}", f"masks have {no_class}"),
        "name these classes, or set the pixels to 255, of which nothing is learnt",
    )
    yield from _finding(
        survey,
        "empty_masks",
        seen.empty,
        ("mask says nothing of any pixel", "masks say nothing of any pixel"),
        "draw them, or leave the images out",
    )
    yield from _classes(seen)


def _look(survey: Survey) -> _Seen:
    seen = _Seen()
    for position, sample in enumerate(survey.samples):
        if not isinstance(mask := sample.annotation, Mask):
            continue
        seen.black_and_white += isinstance(mask.source, MaskFile) and mask.source.keys == (0, _UNSAID)
        seen.names = max(seen.names, mask.names, key=len)
        try:
            numbers = mask.source.load()
        except UserError as error:
            seen.broken.append((position, error.what))
            continue
        if survey.sizes[position, 0] and numbers.shape != tuple(survey.sizes[position]):
            height, width = survey.sizes[position].tolist()
            seen.sizes.append((position, f"mask {numbers.shape[1]}×{numbers.shape[0]}, image {width}×{height}"))
        counts = np.bincount(numbers.ravel(), minlength=256)
        foreign = [value for value in np.flatnonzero(counts).tolist() if len(mask.names) <= value != _UNSAID]
        if foreign:
            told = ", ".join(map(str, foreign[:8])) + (", …" if len(foreign) > 8 else "")
            seen.values.append((position, f"values {told}"))
        if counts[_UNSAID] == numbers.size:
            seen.empty.append((position, "255 everywhere"))
        seen.numbers.update(np.flatnonzero(counts[: len(mask.names)]).tolist())
    return seen


def _classes(seen: _Seen) -> Iterator[Finding]:
    if seen.black_and_white:
        names = " and ".join(map(repr, seen.names))
        yield Finding(
            kind="masks_of_0_and_255",
            severity="note",
            message=f"{counted(seen.black_and_white, 'mask')} of 0 and 255, taken for {names}",
            mend="nothing, if that is what they mean",
            count=seen.black_and_white,
        )
    absent = [name for number, name in enumerate(seen.names) if number not in seen.numbers] if seen.numbers else []
    if absent:
        yield Finding(
            kind="classes_not_in_masks",
            severity="warning",
            message=f"{len(absent):,} of {counted(len(seen.names), 'class is', 'classes are')} in no mask: "
            f"{', '.join(absent[:5])}",
            mend="look whether the numbers of the classes are right",
            count=len(absent),
            files=absent,
        )


def _finding(
    survey: Survey, kind: str, found: list[tuple[int, str]], words: tuple[str, str], mend: str
) -> Iterator[Finding]:
    if found:
        yield Finding(
            kind=kind,
            severity="error",
            message=counted(len(found), *words),
            mend=mend,
            count=len(found),
            files=[f"{survey.samples[position].name}: {told}" for position, told in found],
            exhibited=[Exhibited(survey.samples[p].name, told, survey.samples[p].name) for p, told in found[:_SHOWN]],
            leave_out=survey.names(position for position, _ in found),
        )
