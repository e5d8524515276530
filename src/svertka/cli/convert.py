"""``svertka convert``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from svertka.cli._output import Json, print_json, say
from svertka.commands.convert.command import convert as run_convert
from svertka.wording import counted, inflected

_MOST = 10  # files that are named


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
    say(f"{source}: {converted.read_as}")
    for note in converted.notes:
        say(f"  {note}")
    parts = ", ".join(f"{part} {count:,}" for part, count in converted.images.items())
    boxes = f", {counted(converted.boxes, 'box')}" if converted.boxes else ""
    say(
        f"wrote {converted.data}: {converted.written_as}, "
        f"{counted(sum(converted.images.values()), 'image')}{boxes} ({parts})"
    )
    skipped = [f"{item['file']}: {item['error']}" for item in converted.skipped]
    _print_some(skipped, inflected(len(skipped), "file or record was left out", "files or records were left out"))
    one, several = "image of the folder without annotation was", "images of the folder without annotation were"
    _print_some(converted.unused, f"{inflected(len(converted.unused), one, several)} left out")


def _print_some(lines: Sequence[str], what: str) -> None:
    if lines:
        say(f"\n{len(lines):,} {what}:")
        for line in lines[:_MOST]:
            say(f"  {line}")
        if len(lines) > _MOST:
            say(f"  … and {len(lines) - _MOST:,} more; --json names all")
