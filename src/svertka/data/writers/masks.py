"""How masks are written, once the images are in their place."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from svertka.annotations import Mask
from svertka.data.readers.masks import MaskFile
from svertka.data.writers.formats import ClassList, Item, Lost
from svertka.runtime.files import make_folder, write_error, write_text


def write_masks(target: Path, items: list[Item], classes: ClassList) -> list[Lost]:
    """``masks/train/x.png`` for ``images/train/x.jpg``, and ``legend.csv``, which names their numbers or colours.

    Masks are the files as they are, where all have the same numbers or colours; else PNG with the number of each
    pixel's class.

    Raises:
        UserError: A mask cannot be copied.
    """
    keys: dict[tuple[bool, int], str] = {}
    alike = True
    for item in items:
        assert isinstance(item.annotation, Mask)
        source = item.annotation.source
        names = item.annotation.names
        alike &= isinstance(source, MaskFile) and max(source.classes) < len(names)
        if alike and isinstance(source, MaskFile):
            for key, number in zip(source.keys, source.classes, strict=True):
                alike &= keys.setdefault((source.colours, key), names[number]) == names[number]
    colours = any(coloured for coloured, _ in keys) and alike
    if not alike:
        keys = {(False, number): name for number, name in enumerate(classes.names)}
    numbers = {name: number for number, name in enumerate(classes.names)}
    for item in items:
        _write_mask(make_folder(target / "masks" / item.inner), item, None if alike else numbers)
    file = io.StringIO()
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(["name", "r", "g", "b"] if colours else ["name", "value"])
    # Classes are numbered as they come.
    for (_, key), name in sorted(keys.items(), key=lambda entry: (numbers[entry[1]], entry[0])):
        rows.writerow([name, key >> 16, key >> 8 & 255, key & 255] if colours else [name, key])
    write_text(target / "legend.csv", file.getvalue())
    return []


def _write_mask(folder: Path, item: Item, numbers: dict[str, int] | None) -> None:
    mask = item.annotation
    assert isinstance(mask, Mask)
    if numbers is None and isinstance(mask.source, MaskFile):
        copy = folder / f"{Path(item.file).stem}{mask.source.path.suffix.lower()}"
        try:
            shutil.copyfile(mask.source.path, copy)
        except OSError as error:
            raise write_error(copy, error) from error
        return
    table = np.arange(256, dtype=np.uint8)
    table[: len(mask.names)] = [(numbers or {})[name] for name in mask.names]
    copy = folder / f"{Path(item.file).stem}.png"
    try:
        Image.fromarray(table[mask.source.load()]).save(copy)
    except OSError as error:
        raise write_error(copy, error) from error
