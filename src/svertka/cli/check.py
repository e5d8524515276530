"""``svertka check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from svertka.cli._output import Flag, Json, print_json, print_table, say
from svertka.commands.check.command import check as run_check
from svertka.commands.check.result import Checked
from svertka.wording import counted, inflected

_MOST = 4  # files and groups of a finding


def check(
    data: Path,
    /,
    *,
    format: str | None = None,  # noqa: A002 (the user's word)
    group: str | None = None,
    labels: Flag = False,
    out: Path | None = None,
    fix: Path | None = None,
    show_augmented: Path | None = None,
    augment: Annotated[tuple[str, ...] | None, Parameter(consume_multiple=True, negative=())] = None,
    json: Json = False,
) -> int:
    """Look at a data set before anything is trained: what is in it, what is wrong with it, and how to mend that.

    Files that cannot be read or are not what they are called; copies, exact and near, within and across parts; leaks of
    groups; odd counts and spellings of classes; boxes and masks that cannot be right; folders that would be ignored.
    The exit status is 1 if there is an error among the findings.

    Parameters
    ----------
    data
        A data set as svertka train takes it, or of boxes, masks or pairs. It stays as it is.
    format
        Format to insist on, such as voc. By default, the data set is looked at.
    group
        What images have in common that must not lie in two parts, such as a person: a column of the CSV, or a regular
        expression on file names, whose first parentheses say it.
    labels
        Look for wrong labels too: each image is predicted by a classifier that did not learn from it, by the features
        of efficientnet_lite0 where its weights are installed, else by gradients and colours.
    out
        Folder for check.html, a page with pictures of what was found.
    fix
        Write what is left without faulty images and copies, with labels spelt alike and boxes mended: a copy into this
        folder (of boxes, as COCO JSON), or a list of labels, where it ends in .csv. It must not exist.
    show_augmented
        PNG file to write: some images, each beside seven variants that training makes of it.
    augment
        Augmentations for --show-augmented, as svertka train takes them.
    """
    checked = run_check(
        data,
        format=format,
        group=group,
        labels=labels,
        out=out,
        fix=fix,
        show_augmented=show_augmented,
        augment=augment,
        progress=not json,
    )
    if json:
        print_json(checked.to_json())
    else:
        _print(checked, data, show_augmented)
    return int(not checked.ok)


def _print(checked: Checked, data: Path, augmented: Path | None) -> None:
    say(f"{data}: {checked.format}")
    for note in checked.notes:
        say(f"  {note}")
    say()
    classes = list(dict.fromkeys(name for counts in checked.parts.values() for name in counts))
    rows = [[name, *(counts.get(name, 0) for counts in checked.parts.values())] for name in classes]
    rows.append(["images" if classes else "total", *checked.images.values()])
    print_table(("class", *checked.parts), rows)
    say()
    _print_findings(checked)
    for what, path in (("page", checked.report), ("augmented", augmented)):
        if path is not None:
            say(f"{what}: {path}")
    if checked.fixed:
        fixed = checked.fixed
        say(f"cleaned: {fixed.path}, {counted(fixed.images, 'image')}; left out {fixed.left_out:,}", end="")
        for count, what in (
            (fixed.respelt, "with labels spelt alike now"),
            (fixed.boxes, inflected(fixed.boxes, "box mended", "boxes mended")),
        ):
            say(f"; {count:,} {what}" if count else "", end="")
        say()


def _print_findings(checked: Checked) -> None:
    for finding in checked.findings:
        say(f"{finding.severity}: {finding.message}")
        lines = finding.lines()
        for line in lines[:_MOST]:
            say(f"    {line}")
        if len(lines) > _MOST:
            say(f"    … and {len(lines) - _MOST:,} more")
        say(f"  {finding.mend}")
    if not checked.findings:
        say("nothing to mend")
