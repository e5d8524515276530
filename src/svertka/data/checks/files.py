"""Files that cannot be read, or are not what their names say, or differ from all others."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import PurePath

import numpy as np

from svertka.data.checks.findings import Exhibited, Finding, images
from svertka.data.checks.survey import Encoded, FaultKind, Header, Survey
from svertka.data.samples import Sample
from svertka.runtime.image import ImageError, is_partly_transparent
from svertka.wording import counted

_SHOWN = 8
_WHITE = 250  # of 255: the darkest that white paper is
_HUGE, _SMALL = 25, 1 / 25  # times the usual number of pixels
_USUAL = {"RGB", "L"}

_FAULTS: dict[FaultKind, tuple[str, str, str]] = {
    "empty": ("empty file", "empty files", "get them again, or delete them"),
    "truncated": ("file cut short", "files cut short", "get them again: the copying was cut off"),
    "oversized": (
        "image takes more time or memory than one is given",
        "images take more time or memory than one is given",
        "save them anew, and smaller",
    ),
    "unreadable": (
        "file cannot be read as an image",
        "files cannot be read as images",
        "save them as JPEG or PNG, or delete them",
    ),
}
_SUFFIXES = {
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif"},
    "MPO": {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"},
    "PNG": {".png", ".apng"},
    "WEBP": {".webp"},
    "GIF": {".gif"},
    "BMP": {".bmp"},
    "TIFF": {".tif", ".tiff"},
    "AVIF": {".avif", ".avifs"},
    "PPM": {".ppm", ".pgm", ".pbm", ".pnm", ".pfm"},
    "TGA": {".tga"},
}


def unusable_files(survey: Survey) -> Iterator[Finding]:
    """``empty_files``, ``truncated_files``, ``oversized_files``, ``unreadable_files``."""
    by_kind: dict[FaultKind, list[int]] = defaultdict(list)
    for position, fault in sorted(survey.faults.items()):
        by_kind[fault.kind].append(position)
    for kind, (one, several, mend) in _FAULTS.items():
        if positions := by_kind.get(kind):
            yield Finding(
                kind=f"{kind}_files",
                severity="error",
                message=counted(len(positions), one, several),
                mend=mend,
                count=len(positions),
                files=[f"{survey.samples[position].name}: {survey.faults[position].text}" for position in positions],
                leave_out=survey.names(positions),
            )


def mistyped_files(survey: Survey) -> Iterator[Finding]:
    """``mistyped_files``: the content is of another format than the name says."""
    wrong = [
        (position, header.format)
        for position, header in sorted(survey.headers.items())
        if (suffix := PurePath(survey.samples[position].name).suffix.lower())
        and suffix not in _SUFFIXES.get(header.format, {suffix})
    ]
    if wrong:
        yield Finding(
            kind="mistyped_files",
            severity="warning",
            message=f"{images(len(wrong))} of another format than the name says",
            mend="rename them; other programs may refuse them",
            count=len(wrong),
            files=[f"{survey.samples[position].name}: {name}" for position, name in wrong],
        )


def odd_modes(survey: Survey) -> Iterator[Finding]:
    """``odd_modes``: few images among many have another kind of pixels, or all have one that is converted."""
    modes = Counter(header.mode for header in survey.headers.values())
    if not modes:
        return
    most = modes.most_common(1)[0][0]
    odd = [
        position
        for position, header in sorted(survey.headers.items())
        if header.mode != most or header.mode not in _USUAL | {"P", "1"}
    ]
    if odd:
        kinds = Counter(survey.headers[position].mode for position in odd)
        told = ", ".join(f"{count:,} {mode}" for mode, count in kinds.most_common())
        yield Finding(
            kind="odd_modes",
            severity="note",
            message=f"pixels of other kinds than {most if most in _USUAL else 'RGB or grey'}: {told}",
            mend="nothing, if that is meant: transparency is laid over white, all else becomes RGB",
            count=len(odd),
            files=[f"{survey.samples[position].name}: {survey.headers[position].mode}" for position in odd],
            exhibited=[
                Exhibited(survey.samples[position].name, survey.headers[position].mode) for position in odd[:_SHOWN]
            ],
        )


def hidden_drawings(survey: Survey) -> Iterator[Finding]:
    """``hidden_drawings``: white on transparent, which is seen on a dark page and vanishes over white."""
    white = [
        position
        for position in survey.usable.tolist()
        if position in survey.headers and int(survey.looks.small[position].min()) >= _WHITE
    ]
    hidden = [position for position in white if _is_hidden(survey.samples[position])]
    if hidden:
        yield Finding(
            kind="hidden_drawings",
            severity="warning",
            message=f"{images(len(hidden))} drawn in white on transparent: laid over white, nothing is left to see",
            mend="save them on a background that shows them",
            count=len(hidden),
            files=survey.names(hidden),
            exhibited=[Exhibited(survey.samples[position].name, "nothing to see") for position in hidden[:_SHOWN]],
        )


def _is_hidden(sample: Sample) -> bool:
    if not isinstance(sample.source, Encoded):
        return False
    try:
        return is_partly_transparent(sample.source.read(), where=sample.name)
    except ImageError:
        return False


def orientations(survey: Survey) -> Iterator[Finding]:
    """``orientations``: images that EXIF tags turn, which not every program heeds."""
    yield from _by_header(
        survey,
        "orientations",
        lambda header: header.orientation not in (0, 1),
        lambda header: f"orientation {header.orientation}",
        "turned by their EXIF tags",
        "nothing here, where they are turned upright; save them upright for programs that do not heed the tag",
    )


def unusual_sizes(survey: Survey) -> Iterator[Finding]:
    """``unusual_sizes``: far larger or far smaller than is usual in this data set."""
    areas = np.array([header.height * header.width for header in survey.headers.values()], np.float64)
    if len(areas) < 10:
        return
    usual = float(np.median(areas))
    yield from _by_header(
        survey,
        "unusual_sizes",
        lambda header: not _SMALL * usual < header.height * header.width < _HUGE * usual,
        lambda header: f"{header.width}×{header.height}",
        f"far from the usual size ({counted(round(usual**0.5), 'pixel')} a side)",
        "look whether they belong here; large ones slow down every pass over the files",
    )


def _by_header(
    survey: Survey,
    kind: str,
    odd: Callable[[Header], bool],
    told: Callable[[Header], str],
    what: str,
    mend: str,
) -> Iterator[Finding]:
    found = [(position, header) for position, header in sorted(survey.headers.items()) if odd(header)]
    if found:
        yield Finding(
            kind=kind,
            severity="note",
            message=f"{images(len(found))} {what}",
            mend=mend,
            count=len(found),
            files=[f"{survey.samples[position].name}: {told(header)}" for position, header in found],
            exhibited=[Exhibited(survey.samples[position].name, told(header)) for position, header in found[:_SHOWN]],
        )
