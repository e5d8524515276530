"""What lies in the folder and is not learnt from: whole folders, images without annotation, records without image."""

from __future__ import annotations

import difflib
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from svertka.annotations import Mask, Picture
from svertka.data.checks.findings import Finding, images
from svertka.data.checks.survey import Survey
from svertka.data.files.layout import PART_SPELLINGS
from svertka.data.samples import Sample
from svertka.runtime.image import IMAGE_SUFFIXES
from svertka.wording import counted, inflected

_MOST = 1_000_000  # files that are looked at
_LIKE_A_PART = (
    *(spelling for spellings in PART_SPELLINGS.values() for spelling in spellings),
    *("holdout", "hold_out", "eval", "evaluation", "query", "gallery", "unseen", "private", "public", "dev_test"),
)


def left_out_records(survey: Survey) -> Iterator[Finding]:
    """``annotations_without_image`` and ``unusable_records``: what the reader left out."""
    missing = [item for item in survey.dataset.skipped if _says_missing(item.error)]
    other = [item for item in survey.dataset.skipped if item not in missing]
    for kind, items, what, mend in (
        (
            "annotations_without_image",
            missing,
            ("annotation without its image", "annotations without their image"),
            "add the images, or delete the records",
        ),
        ("unusable_records", other, ("record cannot be used", "records cannot be used"), "mend them as they are named"),
    ):
        if items:
            yield Finding(
                kind=kind,
                severity="error",
                message=counted(len(items), *what),
                mend=mend,
                count=len(items),
                files=[f"{item.file}: {item.error}" for item in items],
            )


def images_not_used(root: Path, samples: Iterable[Sample]) -> list[str]:
    """Names of the images below the data set's folder that no sample uses."""
    used = {os.path.realpath(path) for sample in samples for path in _paths(sample)}
    if not used:
        return []
    folder = root if root.is_dir() else root.parent
    # What was unpacked from an archive lies elsewhere as a whole. Links in a folder may lead anywhere, and nobody asked
    # about what is there.
    if not root.is_dir() and not any(Path(path).is_relative_to(os.path.realpath(folder)) for path in used):
        folder = Path(os.path.commonpath(used))
    return [file.relative_to(folder).as_posix() for file in _image_files(folder) if os.path.realpath(file) not in used]


def unread_annotations(survey: Survey) -> Iterator[Finding]:
    """``unread_annotations``: what the files state and the reader does not take."""
    for severity, minor in (("warning", False), ("note", True)):
        items = [item for item in survey.dataset.unread if item.minor is minor]
        if items:
            count = sum(item.count for item in items)
            yield Finding(
                kind="unread_annotations",
                severity="note" if severity == "note" else "warning",
                message=f"{counted(count, 'statement')} in the annotations not read",
                mend="nothing, if it is not needed; else bring it into labels, boxes or masks",
                count=count,
                files=[item.line() for item in items],
            )


def unused_classes(survey: Survey) -> Iterator[Finding]:
    """``unused_classes``: classes of the source's list that no image has."""
    names = survey.dataset.unused_classes()
    if names:
        yield Finding(
            kind="unused_classes",
            severity="note",
            message=f"{counted(len(names), 'class', 'classes')} in the class list without an example",
            mend="nothing, or add images of them; training leaves them out",
            count=len(names),
            files=list(names),
        )


def unused_images(survey: Survey) -> Iterator[Finding]:
    """``ignored_split`` and ``images_without_annotation``: images in the folder that no sample uses."""
    unused: dict[str, list[str]] = defaultdict(list)
    for name in images_not_used(survey.dataset.root, survey.samples):
        top, inside, _ = name.partition("/")
        unused[top if inside else ""].append(name)
    named = {top for top in unused if top and _like_a_part(top)}
    for top in sorted(named):
        yield Finding(
            kind="ignored_split",
            severity="warning",
            message=f"{images(len(unused[top]))} in {top}/ {inflected(len(unused[top]), 'is', 'are')} ignored, "
            "though it looks like a part of a split",
            mend="call it train, val or test, with the same class folders or annotations as the others",
            count=len(unused[top]),
            files=unused[top],
        )
    rest = [name for top in sorted(unused) if top not in named for name in unused[top]]
    if rest:
        yield Finding(
            kind="images_without_annotation",
            severity="warning",
            message=f"{images(len(rest))} without annotation",
            mend="annotate them, or move them elsewhere: nothing is learnt from them",
            count=len(rest),
            files=rest,
        )


def unannotated(survey: Survey) -> Iterator[Finding]:
    """``images_without_objects``: samples whose annotation names nothing; often meant, sometimes forgotten."""
    empty = [
        position
        for position in survey.usable.tolist()
        if not isinstance(survey.samples[position].annotation, Mask | Picture) and not survey.classes(position)
    ]
    if empty:
        yield Finding(
            kind="images_without_objects",
            severity="note",
            message=f"{images(len(empty))} with nothing in the annotation",
            mend="nothing, if there is nothing to see in them; else annotate them",
            count=len(empty),
            files=survey.names(empty),
        )


def _says_missing(error: str) -> bool:
    return any(words in error for words in ("does not exist", "no image", "no such", "not there"))


def _paths(sample: Sample) -> Iterator[Path]:
    sources: list[object] = [sample.source]
    if isinstance(sample.annotation, Mask | Picture):
        sources.append(sample.annotation.source)
    for source in sources:
        path = getattr(source, "path", None)
        if isinstance(path, Path):
            yield path


def _image_files(folder: Path) -> Iterator[Path]:
    seen = 0
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        for name in sorted(files):
            seen += 1
            if seen > _MOST:
                return
            if not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES:
                yield Path(place, name)


def _like_a_part(name: str) -> bool:
    plain = "".join(letter for letter in name.casefold() if letter.isalpha())
    words = {"".join(letter for letter in word if letter.isalpha()) for word in _LIKE_A_PART}
    return (
        plain in words
        or bool(difflib.get_close_matches(plain, words, n=1, cutoff=0.85))
        or any(plain.startswith(word) or plain.endswith(word) for word in words if len(word) >= 4)
    )
