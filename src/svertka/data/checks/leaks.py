"""What is judged must not be known from what was learnt: groups, and pictures taken one after another."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from svertka.annotations import Annotation, natural
from svertka.data.chance import permutation
from svertka.data.checks.findings import Exhibited, Finding, images
from svertka.data.checks.survey import Survey
from svertka.data.files.layout import PART_SPELLINGS
from svertka.wording import counted

_ASKED = 2000  # images whose neighbour is looked for, at most
_LEAST = 60  # images, for the question to make sense
_CELLS = 8  # a side, of what is compared
_CLOSE = 0.05  # of the images of a class: what counts as taken near in time
_SHUFFLES = 40
_SIGMAS, _EXCESS, _TIMES = 6.0, 0.08, 2.0
_SHOWN = 6
_SHUFFLING = 557  # tells these random numbers from others


def groups(survey: Survey) -> Iterator[Finding]:
    """``groups`` that ``--group`` names, such as persons, with their images by subset; and ``groups_across_splits``."""
    if survey.groups is None:
        return
    members: dict[str, list[int]] = defaultdict(list)
    for position in survey.usable.tolist():
        if survey.groups[position]:
            members[survey.groups[position]].append(position)
    members = dict(sorted(members.items(), key=lambda item: natural(item[0])))
    told = {name: f"{name}: {_by_part(survey, positions)}" for name, positions in members.items()}
    without = len(survey.usable) - sum(map(len, members.values()))
    if members:
        yield Finding(
            kind="groups",
            severity="note",
            message=f"{counted(len(members), 'group')}" + (f", and {images(without)} in none" if without else ""),
            mend="nothing, if these are the persons, videos or places that are meant",
            count=len(members),
            files=list(told.values()),
        )
    across = {
        name: positions
        for name, positions in members.items()
        if len({survey.parts[position] for position in positions}) > 1
    }
    if across:
        yield Finding(
            kind="groups_across_splits",
            severity="error",
            message=f"{len(across):,} of {counted(len(members), 'group lies', 'groups lie')} in several parts "
            "of the split",
            mend="divide anew by group: merge the parts and train with --group",
            count=len(across),
            files=[told[name] for name in across],
            leave_out=survey.names(p for positions in across.values() for p in positions if survey.parts[p] == "train"),
        )


def _by_part(survey: Survey, positions: list[int]) -> str:
    counts = Counter(survey.parts[position] for position in positions)
    if set(counts) == {"all"}:
        return images(counts["all"])
    return ", ".join(f"{part} {counts[part]:,}" for part in survey.part_names if part in counts)


def neighbours_by_name(survey: Survey) -> Iterator[Finding]:
    """``neighbours_by_name``: images whose names follow one another look alike, more than chance would have it.

    Of each image, the one that looks most like it is taken, in any class, and it is asked whether its name is among
    the closest twentieth of its class in the order of names. Were names arbitrary, that would happen in a twentieth
    of all cases; how often exactly, and how much that varies, is found by exchanging names within classes. So neither
    classes that were numbered one after another nor classes that look alike are taken for a leak. Images with boxes,
    masks or several labels are of one class here: few of them name exactly the same.
    """
    chosen = _one_of_each(survey)
    if survey.groups is not None or len(chosen) < _LEAST:
        return
    judged = np.array([survey.parts[position] in ("val", "test") for position in chosen])
    divided = bool(judged.any()) and not bool(judged.all())
    asked = np.flatnonzero(judged) if divided else np.arange(len(chosen))
    asked = asked[permutation(len(asked), _SHUFFLING)[:_ASKED]]
    found = _share_close(survey, chosen, asked, ~judged if divided else np.ones(len(chosen), bool))
    if found is None or found.share < max(found.expected + _EXCESS, found.expected * _TIMES):
        return
    if found.share - found.expected < _SIGMAS * found.deviation:
        return
    told = (
        f"for {found.share:.0%} of the images, the one that looks most like them is a neighbour by name,"
        f" where {found.expected:.0%} would be chance: they were probably taken one after another"
    )
    if divided:
        message = f"across the split, {told}"
        mend = "divide anew by what they have in common, such as the person or the video, with --group"
    else:
        message = f"{told}, so a random split leaks"
        mend = "give --group with a regular expression on names, or a column of a CSV; or divide into folders yourself"
    pairs = [(int(chosen[one]), int(chosen[other])) for one, other in found.pairs[:_SHOWN]]
    yield Finding(
        kind="neighbours_by_name",
        severity="warning",  # it names no image for certain
        message=message,
        mend=mend,
        count=round(found.share * len(asked)),
        files=[],
        groups=[survey.names(pair) for pair in pairs],
        exhibited=[
            Exhibited(survey.samples[p].name, f"{number}: {'; '.join(survey.classes(p))}", survey.samples[p].name)
            for number, pair in enumerate(pairs, 1)
            for p in pair
        ],
    )


@dataclass(frozen=True)
class _Found:
    share: float
    expected: float
    deviation: float
    pairs: list[tuple[int, int]]


def _one_of_each(survey: Survey) -> NDArray[np.int64]:
    # Copies look alike whatever their names: of each group one is asked.
    surplus = {position for group in survey.looks.kin for position in group[1:]}
    return np.array([position for position in survey.usable.tolist() if position not in surplus], np.int64)


def _share_close(
    survey: Survey, chosen: NDArray[np.int64], asked: NDArray[np.int64], learnt: NDArray[np.bool_]
) -> _Found | None:
    order = _order_of_names(survey, chosen)
    if len(np.unique(order)) < len(chosen) // 4:  # names that do not tell images apart
        return None
    named = [_class_of(survey.samples[position].annotation) for position in chosen.tolist()]
    labels = {name: number for number, name in enumerate(dict.fromkeys(named))}
    classes = np.array([labels[name] for name in named])
    nearest = _most_alike(_described(survey, chosen), asked, np.flatnonzero(learnt))
    close = _close(order, classes, learnt, asked, nearest)
    shares = []
    for shuffle in range(_SHUFFLES):
        exchanged = order.copy()
        for number in range(len(labels)):
            for part in (learnt, ~learnt):
                here = np.flatnonzero((classes == number) & part)
                exchanged[here] = order[here[permutation(len(here), _SHUFFLING, shuffle, number)]]
        shares.append(float(_close(exchanged, classes, learnt, asked, nearest).mean()))
    expected = float(np.mean(shares))
    deviation = max(float(np.std(shares)), float(np.sqrt(max(expected, 0.01) * (1 - expected) / len(asked))))
    pairs = [(int(asked[place]), int(nearest[place])) for place in np.flatnonzero(close)]
    return _Found(float(close.mean()), expected, deviation, pairs)


def _class_of(annotation: Annotation) -> str | None:
    return annotation if isinstance(annotation, str) else None


def _order_of_names(survey: Survey, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    # Without the folders that say the part or the class.
    parts = {spelling for spellings in PART_SPELLINGS.values() for spelling in spellings}
    keys = []
    for position in chosen.tolist():
        *folders, file = PurePath(survey.samples[position].name).parts
        known = parts.union(name.lower() for name in survey.classes(position))
        keys.append(
            natural("/".join([*(folder for folder in folders if folder.lower() not in known), PurePath(file).stem]))
        )
    place = {key: number for number, key in enumerate(sorted(set(keys)))}
    return np.array([place[key] for key in keys])


def _described(survey: Survey, chosen: NDArray[np.int64]) -> NDArray[np.float32]:
    # Means over cells: what persists from one picture to the next is the background and the light.
    cells = survey.looks.small[chosen].reshape(
        len(chosen), _CELLS, -1, _CELLS, survey.looks.small.shape[2] // _CELLS, 3
    )
    return np.asarray(cells.mean(axis=(2, 4), dtype=np.float32).reshape(len(chosen), -1))


def _most_alike(
    described: NDArray[np.float32], asked: NDArray[np.int64], candidates: NDArray[np.int64]
) -> NDArray[np.int64]:
    squares = (described[candidates] ** 2).sum(axis=1)
    nearest = np.empty(len(asked), np.int64)
    for start in range(0, len(asked), 256):
        block = asked[start : start + 256]
        distance = squares - 2 * described[block] @ described[candidates].T
        distance[block[:, None] == candidates] = np.inf
        nearest[start : start + 256] = candidates[distance.argmin(axis=1)]
    return nearest


def _close(
    order: NDArray[np.int64],
    classes: NDArray[np.int64],
    learnt: NDArray[np.bool_],
    asked: NDArray[np.int64],
    nearest: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Whether fewer than a twentieth of the class of the nearest, and at most all but one, are closer by name."""
    close = np.zeros(len(asked), bool)
    for number in np.unique(classes[nearest]):
        here = np.flatnonzero(classes[nearest] == number)
        members = np.sort(order[(classes == number) & learnt])
        at = order[asked[here]]
        distance = np.abs(order[nearest[here]] - at)
        within = np.searchsorted(members, at + distance) - np.searchsorted(members, at - distance, side="right")
        itself = (classes[asked[here]] == number) & learnt[asked[here]] & (distance > 0)
        close[here] = within - itself < max(1.0, _CLOSE * len(members))
    return close
