"""Check: what is in a data set and what is wrong with it, before anything is trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from svertka.commands.check.result import Checked
from svertka.errors import UserError
from svertka.spelling import names_of, place_of
from svertka.wording import none_can
from svertka.workflows.progress import Display

if TYPE_CHECKING:
    from svertka.data.checks.survey import Survey

REPORT_NAME = "check.html"


def check(
    data: str | PathLike[str],
    *,
    format: str | None = None,  # noqa: A002 (the user's word)
    group: str | None = None,
    labels: bool = False,
    out: str | PathLike[str] | None = None,
    fix: str | PathLike[str] | None = None,
    show_augmented: str | PathLike[str] | None = None,
    augment: str | Sequence[str] | None = None,
    progress: bool = True,
) -> Checked:
    """Read a data set as training would, look at every image, and say what is found. The data set stays as it is.

    Args:
        data: A data set as `train` takes it, or of boxes, masks or pairs.
        format: Format to insist on, such as ``voc``; by default, the data set is looked at.
        group: What images have in common that must not lie in two parts, such as a person: a column of the CSV, or
            a regular expression on names, whose first parentheses say it.
        labels: Look for wrong labels too: each image is predicted by a classifier that did not learn from it, of what
            frozen stages of trained weights make of it where these are installed, else of gradients and colours.
        out: Folder for a page of pictures; it is made where there is none.
        fix: Where to write what is left once faulty images are left out, labels spelt alike and boxes mended: a folder
            for a copy, of boxes as COCO JSON; or a ``.csv`` for a list of labels. It must not exist.
        show_augmented: PNG file to write: some images, each beside what training makes of it.
        augment: One or several names of augmentations for that, as in a recipe; by default ``crop``.
        progress: Show progress on standard error.

    Raises:
        UserError: There is nothing that can be read as a data set, or something cannot be written.
    """
    from svertka.data.checks.checking import findings

    place = place_of(data)
    _show_augmented(place, show_augmented, augment, format=format)
    target = None if fix is None else Path(fix)
    if target is not None and target.exists():
        raise UserError("it exists", where=target, mend="choose another --fix")
    display = Display(show=progress)
    seen = _surveyed(place, format, group, display)
    found = findings(seen)
    if labels:
        from svertka.commands.check.features import features_at_hand
        from svertka.commands.check.suspects import suspects

        found += suspects(seen, display, frozen=features_at_hand())
    report = fixed = None
    if out is not None:
        from svertka.commands.check.page import write_check_report

        report = Path(out) / REPORT_NAME
        write_check_report(report, seen, found)
    if target is not None:
        from svertka.commands.check.fix import write_fixed

        fixed = write_fixed(target, seen, found)
    images, counts = _counted(seen)
    copies = [[_place(seen, position) for position in group] for group in seen.looks.copies]
    dataset = seen.dataset
    return Checked(dataset.format, counts, images, list(dataset.notes), found, copies, _skipped(seen), report, fixed)


def _surveyed(data: Path, format_: str | None, group: str | None, display: Display) -> Survey:
    from svertka.data.checks.survey import survey
    from svertka.data.readers.reading import open_dataset
    from svertka.data.samples import flat, images_only
    from svertka.data.splitting.grouping import groups_of

    dataset = images_only(open_dataset(data, format_))
    _, samples = flat(dataset)
    groups = None if group is None else groups_of(dataset, samples, group)
    seen = survey(dataset, groups=groups, advance=display.advance)
    if len(seen.faults) == len(samples):
        first = next(iter(seen.faults.values()))
        what = f"{none_can(len(samples), 'image')} be read; the first, {samples[0].name}: {first.text}"
        raise UserError(what, where=data)
    return seen


def _skipped(seen: Survey) -> list[dict[str, str]]:
    unread = {seen.samples[position].name: fault.text for position, fault in sorted(seen.faults.items())}
    return [
        *(item.to_json() for item in seen.dataset.skipped),
        *({"file": name, "error": error} for name, error in unread.items()),
    ]


def _show_augmented(
    data: Path,
    target: str | PathLike[str] | None,
    augment: str | Sequence[str] | None,
    *,
    format: str | None,  # noqa: A002 (the user's word)
) -> None:
    if target is None:
        if augment is not None:
            raise UserError("--augment is about what --show-augmented shows", mend="give --show-augmented FILE.png too")
        return
    from svertka.commands.check.augmented import show_augmented

    show_augmented(data, ("crop",) if augment is None else names_of(augment), Path(target), format=format)


def _counted(seen: Survey) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    # Images that can be used, and annotations of each class, by part; of masks no classes are counted.
    from svertka.annotations import Mask, names_in

    images: Counter[str] = Counter(seen.parts[position] for position in seen.usable.tolist())
    counts: dict[str, Counter[str]] = {part: Counter() for part in seen.part_names}
    for position in seen.usable.tolist():
        annotation = seen.samples[position].annotation
        if not isinstance(annotation, Mask):
            counts[seen.parts[position]].update(names_in(annotation))
    parts = [part for part in seen.part_names if images[part]]
    return {part: images[part] for part in parts}, {part: dict(counts[part]) for part in parts}


def _place(seen: Survey, position: int) -> dict[str, str]:
    classes = "; ".join(seen.classes(position))
    return {"file": seen.samples[position].name, "class": classes, "part": seen.parts[position]}
