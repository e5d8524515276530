"""What is left of a data set once what was found is left out: a copy of the files, or a list of them."""

from __future__ import annotations

import csv
import io
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from svertka.annotations import Boxes, Mask, names_in
from svertka.data.box_repair import repaired
from svertka.data.samples import Dataset, ImageFile, Sample, flat
from svertka.data.writers.writing import write_dataset
from svertka.errors import UserError
from svertka.runtime.files import make_folder, write_error, write_text

if TYPE_CHECKING:
    from svertka.data.checks.findings import Finding
    from svertka.data.checks.survey import Survey

_LIST = "labels.csv"


@dataclass(frozen=True)
class Fixed:
    """What was written in place of a data set.

    Attributes:
        path: The folder or list.
        images: Number of images in it.
        left_out: Number of images that are not.
        respelt: Number of images with a label that is spelt in another way now.
        boxes: Number of boxes that were moved or left out.
    """

    path: Path
    images: int
    left_out: int
    respelt: int
    boxes: int

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {**vars(self), "path": str(self.path)}


def write_fixed(target: Path, survey: Survey, findings: Sequence[Finding]) -> Fixed:
    """Write the images that no finding leaves out, and what is said of them as it should be: labels spelt alike, boxes
    as `svertka.data.box_repair.repaired` has them, masks as they are.

    Args:
        target: A folder that gets the images and a list of their labels; of boxes, COCO JSON; of masks, these and a
            legend. Of labels it may be a ``.csv`` instead, with columns file, label and split, whose paths lead to
            where the images are. It must not exist.
        survey: The data set.
        findings: About it.

    Raises:
        UserError: The annotations are none of these, the images no files, or something cannot be written.
    """
    left_out = {name for finding in findings for name in finding.leave_out}
    rename = {before: after for finding in findings for before, after in finding.rename.items()}
    kept = [position for position in survey.usable.tolist() if survey.samples[position].name not in left_out]
    respelt = sum(not rename.keys().isdisjoint(names_in(survey.samples[position].annotation)) for position in kept)
    done = Fixed(target, len(kept), len(survey.samples) - len(kept), respelt, 0)
    if not kept:
        raise UserError("nothing is left of it", where=survey.dataset.root, mend="mend it by hand")
    if name := _layout(survey, kept):
        if target.suffix.lower() == ".csv":
            raise UserError("a list can hold labels only", where=target, mend="give --fix a folder")
        cleaned = _mended(survey, kept, rename)
        write_dataset(cleaned, target, name)
        return replace(done, boxes=_changed(survey, cleaned, rename))
    rows: list[tuple[str, Path, str, str]] = []
    several = any(isinstance(survey.samples[position].annotation, tuple) for position in kept)
    for position in kept:
        sample = survey.samples[position]
        if not isinstance(sample.annotation, str | tuple):
            raise UserError(
                "only labels, boxes and masks can be cleaned, each by themselves",
                where="--fix",
                mend="mend the annotations as the findings say",
            )
        if not isinstance(sample.source, ImageFile):
            raise UserError(f"{sample.name} is no file of its own", where="--fix", mend="convert the data set first")
        names = names_in(sample.annotation)
        label = ";".join(dict.fromkeys(rename.get(name, name) for name in names))
        rows.append((sample.name, sample.source.path, label, survey.parts[position]))
    if target.suffix.lower() == ".csv":
        folder = _common(target, [path for _, path, _, _ in rows])
        make_folder(target.parent)
        entries = [(path.resolve().relative_to(folder).as_posix(), label, part) for _, path, label, part in rows]
        write_text(target, _table(entries, several=several))
        return done
    try:
        target.mkdir(parents=True)
        for name, path, _, _ in rows:
            copy = target.joinpath(*_inside(name).parts)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    except OSError as error:
        raise write_error(target, error) from error
    entries = [(_inside(name).as_posix(), label, part) for name, _, label, part in rows]
    write_text(target / _LIST, _table(entries, several=several))
    return done


def _layout(survey: Survey, kept: Sequence[int]) -> str | None:
    # The format that is written, where it is not a list.
    for kind, name in ((Boxes, "coco"), (Mask, "masks")):
        if all(isinstance(survey.samples[position].annotation, kind) for position in kept):
            return name
    return None


def _mended(survey: Survey, kept: Sequence[int], rename: Mapping[str, str]) -> Dataset:
    parts: dict[str, list[Sample]] = {}
    for position in kept:
        sample = survey.samples[position]
        if isinstance(sample.annotation, Boxes):
            height, width = survey.sizes[position].tolist()
            spelt = _spelt(sample.annotation, rename)
            sample = replace(sample, annotation=repaired(spelt, (height, width) if height else None))
        parts.setdefault(survey.parts[position], []).append(sample)
    dataset = replace(survey.dataset, parts=parts, notes=[], skipped=[])
    keep = [place for place, name in enumerate(dataset.classes) if name not in rename]
    ids = tuple(dataset.class_ids[place] for place in keep) if dataset.class_ids else ()
    return replace(dataset, classes=tuple(dataset.classes[place] for place in keep), class_ids=ids)


def _changed(survey: Survey, cleaned: Dataset, rename: Mapping[str, str]) -> int:
    # Boxes that are not among the cleaned ones as they were, but for the spelling of their labels.
    after = {sample.name: sample.annotation for sample in flat(cleaned)[1]}
    changed = 0
    for sample in survey.samples:
        left = after.get(sample.name)
        if isinstance(sample.annotation, Boxes) and isinstance(left, Boxes):
            changed += (Counter(_spelt(sample.annotation, rename).boxes) - Counter(left.boxes)).total()
    return changed


def _spelt(annotation: Boxes, rename: Mapping[str, str]) -> Boxes:
    return Boxes(tuple(replace(box, label=rename.get(box.label, box.label)) for box in annotation.boxes))


def _table(entries: Sequence[tuple[str, str, str]], *, several: bool) -> str:
    divided = any(part != "all" for _, _, part in entries)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["file", "labels" if several else "label", *(["split"] if divided else [])])
    rows.writerows([file, label, *([part] if divided else [])] for file, label, part in entries)
    return text.getvalue()


def _common(target: Path, paths: Sequence[Path]) -> Path:
    # A CSV may name files below its own folder only.
    folder = target.parent.resolve()
    if not all(path.resolve().is_relative_to(folder) for path in paths):
        raise UserError(
            "a list must lie in a folder above all images",
            where=target,
            mend="put it beside the data set's folder, or give --fix a folder for a copy",
        )
    return folder


def _inside(name: str) -> PurePosixPath:
    # Names come from a folder or from a CSV; a copy never lands elsewhere.
    return PurePosixPath(*(piece for piece in PurePosixPath(name).parts if piece not in ("/", "..", ".")))
