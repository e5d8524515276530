"""Copies: the same image twice, in two subsets, or under two labels; and frames of one video, which are no copies."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import PurePath

from svertka.annotations import natural
from svertka.data.checks.findings import Exhibited, Finding, images
from svertka.data.checks.survey import Survey
from svertka.data.files.layout import part_in
from svertka.data.splitting.likeness import Pair
from svertka.wording import counted, inflected

_SHOWN = 6  # groups
_GAP = 3  # places in the order of names, within which the next frame that looks alike follows
_ROW = 3  # images, that are frames wherever they are
_MANY = 5  # rows of two, that are
_NUMBERED = re.compile(r"[0-9]")


def duplicates(survey: Survey) -> Iterator[Finding]:
    """``exact_duplicates`` within parts, ``duplicates_across_splits``, ``contradictory_labels``; of equal files."""
    yield from _copies(survey, survey.looks.copies, "exact_duplicates", "with the same content", {})


def near_duplicates(survey: Survey) -> Iterator[Finding]:
    """The same of images that are alike: ``near_duplicates``, ``near_duplicates_across_splits``, and
    ``near_duplicates_with_other_labels``."""
    likeness: dict[int, Pair] = {}
    for pair in survey.looks.likenesses:
        likeness.setdefault(pair.first, pair)
        likeness.setdefault(pair.second, pair)
    # Exact copies are counted already: of each content, one image.
    near = [_of_each_content(survey, group) for group in survey.looks.kin]
    near = [group for group in near if len(group) > 1]
    frames = _frames(survey, near)
    yield from _video(survey, frames, likeness)
    rest = [group for group in near if group not in frames]
    yield from _copies(survey, rest, "near_duplicates", "that are nearly alike", likeness)


def _of_each_content(survey: Survey, group: list[int]) -> list[int]:
    return list({survey.digests[position]: position for position in reversed(group)}.values())[::-1]


def _frames(survey: Survey, groups: list[list[int]]) -> list[list[int]]:
    """The groups whose images follow one another by name, as frames of a video or a burst do.

    Three in a row or more are one, and pairs beside them; pairs alone are, where most groups are in a row.
    """
    place = {position: number for number, position in enumerate(_in_order_of_names(survey))}

    def in_a_row(group: list[int]) -> bool:
        places = sorted(place[position] for position in group if position in place)
        near = all(after - before <= _GAP for before, after in itertools.pairwise(places))
        return near and all(_NUMBERED.search(PurePath(survey.samples[position].name).stem) for position in group)

    rows = [group for group in groups if in_a_row(group)]
    many = len(rows) >= _MANY and len(rows) > len(groups) / 2
    return rows if many or any(len(group) >= _ROW for group in rows) else []


def _in_order_of_names(survey: Survey) -> list[int]:
    # The folder of the subset is none of a video's.
    def key(position: int) -> tuple[object, ...]:
        *folders, file = PurePath(survey.samples[position].name).parts
        return tuple(natural("/".join([*(name for name in folders if part_in(name) is None), file])))

    return sorted(survey.usable.tolist(), key=key)


def _video(survey: Survey, groups: list[list[int]], likeness: dict[int, Pair]) -> Iterator[Finding]:
    if not groups:
        return
    across = [group for group in groups if len({survey.parts[position] for position in group}) > 1]
    frames = [position for group in groups for position in group]
    message = f"{images(len(frames))} that follow one another by name and look alike, in {counted(len(groups), 'row')}"
    message += ": frames of one video or burst, as it seems"
    yield Finding(
        kind="video_frames_across_splits" if across else "video_frames",
        severity="error" if across else "warning",
        message=message + (f", and {counted(len(across), 'row')} in several subsets" if across else ""),
        mend="keep each video in one subset, with --group and what its names have in common; nothing is to be deleted",
        count=len(frames),
        files=survey.names(frames),
        groups=[[f"{survey.parts[p]}: {survey.samples[p].name}" for p in group] for group in across]
        or [survey.names(group) for group in groups],
        exhibited=_exhibited(survey, across or groups, likeness),
    )


def _copies(
    survey: Survey, groups: list[list[int]], kind: str, what: str, likeness: dict[int, Pair]
) -> Iterator[Finding]:
    noun = survey.dataset.media
    there = [[position for position in group if survey.parts[position]] for group in groups]
    groups = [group for group in there if len(group) > 1]
    across = [group for group in groups if len({survey.parts[position] for position in group}) > 1]
    contradicting = [group for group in groups if len({_said(survey, position) for position in group}) > 1]
    within = [group for group in groups if group not in across]
    exact = not likeness
    if within:
        surplus = [position for group in within for position in group[1:]]
        yield Finding(
            kind=kind,
            severity="warning",
            message=f"{counted(len(surplus), noun)} too many: "
            f"{counted(len(within), 'group')} of {inflected(2, noun)} {what}",
            mend="keep one of each; a split keeps copies together",
            count=len(surplus),
            files=survey.names(surplus),
            groups=[survey.names(group) for group in within],
            exhibited=_exhibited(survey, within, likeness),
            leave_out=survey.names(surplus),
        )
    if across:
        learnt = [p for group in across for p in group if survey.parts[p] in ("train", "all")]
        judged = [p for group in across for p in group if p not in learnt]
        # What is judged by stays as it is, so that figures can be compared with others'.
        keep = {group[0] for group in across if not any(p in learnt for p in group)}
        yield Finding(
            kind="duplicates_across_splits" if exact else "near_duplicates_across_splits",
            severity="error",
            message=f"{counted(len(across), 'group')} of {inflected(2, noun)} {what}, in several parts: "
            f"{_between(survey, across)}",
            mend="leave them in one part: what was learnt by heart would be judged",
            count=len(across),
            files=survey.names(position for group in across for position in group),
            groups=[[f"{survey.parts[p]}: {survey.samples[p].name}" for p in group] for group in across],
            exhibited=_exhibited(survey, across, likeness),
            leave_out=survey.names([*learnt, *(p for p in judged if keep and p not in keep)]),
        )
    if contradicting:
        yield Finding(
            kind="contradictory_labels" if exact else "near_duplicates_with_other_labels",
            severity="error" if exact else "warning",
            message=f"{counted(len(contradicting), 'group')} of {inflected(2, noun)} {what}, with different labels",
            mend="look which label is right",
            count=len(contradicting),
            files=survey.names(position for group in contradicting for position in group),
            groups=[
                [f"{survey.samples[p].name} ({'; '.join(_said(survey, p)) or 'nothing'})" for p in group]
                for group in contradicting
            ],
            exhibited=_exhibited(survey, contradicting, likeness),
            leave_out=survey.names(position for group in contradicting for position in group),
        )


def _said(survey: Survey, position: int) -> tuple[str, ...]:
    # Boxes of a mirrored or resized copy lie elsewhere, and how many there are is a matter of judgement.
    return tuple(sorted(survey.classes(position)))


def _between(survey: Survey, across: list[list[int]]) -> str:
    counts: dict[str, int] = {}
    for group in across:
        parts = {survey.parts[position] for position in group}
        told = " and ".join(part for part in survey.part_names if part in parts)
        counts[told] = counts.get(told, 0) + 1
    return ", ".join(f"{count:,} in {told}" for told, count in counts.items())


def _exhibited(survey: Survey, groups: list[list[int]], likeness: dict[int, Pair]) -> list[Exhibited]:
    shown = []
    for number, group in enumerate(groups[:_SHOWN], 1):
        for position in group[:4]:
            label = "; ".join(survey.classes(position)) or "no label"
            detail = survey.samples[position].name
            if pair := likeness.get(position):
                how = [word for word, there in (("mirrored", pair.mirrored), ("negative", pair.negative)) if there]
                detail += f" · {pair.likeness:.0%} alike{''.join(f', {word}' for word in how)}"
            shown.append(
                Exhibited(survey.samples[position].name, f"{number}: {survey.parts[position]}, {label}", detail)
            )
    return shown
