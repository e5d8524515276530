"""``svertka check``."""

from __future__ import annotations

from pathlib import Path

from svertka.cli._output import Json, print_json, print_table
from svertka.verbs.check import check as run_check


def check(
    data: Path,
    /,
    *,
    format: str | None = None,  # noqa: A002 (the user's word)
    json: Json = False,
) -> int:
    """Look at a data set before anything is trained: its parts and classes, unreadable files, duplicates.

    The exit status is 1 if something needs mending.

    Parameters
    ----------
    data
        A data set as svertka train takes it, or of boxes, masks or pairs.
    format
        Format to insist on, such as voc. By default, the data set is looked at.
    """
    checked = run_check(data, format=format, progress=not json)
    if json:
        print_json(checked.to_json())
        return int(not checked.ok)
    print(f"{data}: {checked.format}")
    for note in checked.notes:
        print(f"  {note}")
    print()
    classes = list(dict.fromkeys(name for counts in checked.parts.values() for name in counts))
    rows = [[name, *(counts.get(name, 0) for counts in checked.parts.values())] for name in classes]
    rows.append(["total", *checked.images.values()])
    print_table(("class", *checked.parts), rows)
    if checked.skipped:
        print(f"\n{len(checked.skipped)} files cannot be used:")
        for item in checked.skipped:
            print(f"  {item['file']}: {item['error']}")
    if checked.duplicates:
        print(f"\n{len(checked.duplicates)} groups of files with the same content:")
        for group in checked.duplicates:
            note = " (DIFFERENT CLASSES)" if len({entry["class"] for entry in group}) > 1 else ""
            print(f"  {', '.join(entry['file'] for entry in group)}{note}")
    if checked.ok:
        print("\nnothing to mend")
    return int(not checked.ok)
