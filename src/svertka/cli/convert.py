"""``svertka convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from svertka.cli._output import Json, print_json
from svertka.verbs.convert import convert as run_convert
from svertka.wording import counted


def convert(
    source: Path,
    target: Path,
    /,
    *,
    format: Literal["folders", "coco", "voc", "yolo", "masks", "csv"],  # noqa: A002 (the user's word)
    source_format: str | None = None,
    json: Json = False,
) -> None:
    """Write a data set in another format. Images are linked where the disk allows it, and parts stay as they are.

    Parameters
    ----------
    source
        A data set in any format that is read.
    target
        Folder to write to; it must be new or empty.
    format
        What to write.
    source_format
        Insist on the format that is read. By default, the data set is looked at.
    """
    converted = run_convert(source, target, format=format, source_format=source_format, progress=not json)
    if json:
        print_json(converted.to_json())
        return
    print(f"{source}: {converted.read_as}")
    for note in converted.notes:
        print(f"  {note}")
    parts = ", ".join(f"{part} {count:,}" for part, count in converted.images.items())
    boxes = f", {counted(converted.boxes, 'box')}" if converted.boxes else ""
    print(
        f"wrote {converted.data}: {converted.written_as}, "
        f"{counted(sum(converted.images.values()), 'image')}{boxes} ({parts})"
    )
    if converted.skipped:
        print(f"\n{counted(len(converted.skipped), 'file or record was', 'files or records were')} left out:")
        for item in converted.skipped:
            print(f"  {item['file']}: {item['error']}")
