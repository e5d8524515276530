"""``svertka check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from svertka.cli._output import Json, print_json, print_table
from svertka.verbs.check import check as run_check


def check(
    data: Path,
    /,
    *,
    show_augmented: Path | None = None,
    augment: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative=())] = ("crop",),
    json: Json = False,
) -> int:
    """Look at a data set before anything is trained: its parts and classes, unreadable files, duplicates.

    The exit status is 1 if something needs mending.

    Parameters
    ----------
    data
        A data set as svertka train takes it.
    show_augmented
        PNG file to write: some images, each beside seven variants that training makes of it.
    augment
        Augmentations for --show-augmented, as svertka train takes them.
    """
    names = tuple(name for given in augment for name in given.split(","))
    checked = run_check(data, show_augmented=show_augmented, augment=names, progress=not json)
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
    if show_augmented is not None:
        print(f"\naugmented: {show_augmented}")
    return int(not checked.ok)
