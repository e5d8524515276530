"""Check: what is in a data set, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from svertka.runtime.preprocess import Preprocess
from svertka.verbs._progress import Display

_SIDE = 32  # images are decoded in full; what is kept of them here is small


@dataclass(frozen=True)
class Checked:
    """What is in a data set.

    Attributes:
        format: What it was read as.
        parts: Number of images by part and class.
        images: Number of images by part.
        notes: Choices made while reading.
        duplicates: Groups of files with the same content; two labels in one group are a contradiction.
        skipped: Files that cannot be used, each with ``file`` and ``error``.
    """

    format: str
    parts: dict[str, dict[str, int]]
    images: dict[str, int]
    notes: list[str]
    duplicates: list[list[dict[str, str]]]
    skipped: list[dict[str, str]]

    @property
    def ok(self) -> bool:
        """Whether nothing was found that needs mending."""
        return not (self.skipped or self.duplicates)

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {"ok": self.ok, **vars(self)}


def check(
    data: str | PathLike[str],
    *,
    show_augmented: str | PathLike[str] | None = None,
    augment: Sequence[str] = ("crop",),
    progress: bool = True,
) -> Checked:
    """Read a data set as training would, decode every image, and say what is found.

    Args:
        data: Folder of class folders, folder of IDX files, or CSV of file and label.
        show_augmented: PNG file to write: some images, each beside what training makes of it.
        augment: Names of augmentations for that, as in a recipe.
        progress: Show progress on standard error.

    Raises:
        UserError: There is nothing that can be read as a data set.
    """
    if show_augmented is not None:
        from svertka.verbs import _augmented

        _augmented.show_augmented(Path(data), augment, Path(show_augmented))
    from svertka.annotations import names_in
    from svertka.data.preparing import prepare

    display = Display(show=progress)
    preprocess = Preprocess(height=_SIDE, width=_SIDE)
    prepared = prepare(Path(data), preprocess, val_fraction=0.0, seed=0, divide_if="", advance=display.advance)
    same: dict[str, list[dict[str, str]]] = {}
    for part, division in prepared.parts.items():
        for position in division.positions:
            sample = prepared.samples[position]
            entry = {"file": sample.name, "class": "; ".join(names_in(sample.annotation)), "part": part}
            same.setdefault(prepared.images.digests[position], []).append(entry)
    return Checked(
        prepared.dataset.format,
        {part: prepared.per_class(part) for part in prepared.parts},
        prepared.counts,
        prepared.notes,
        [group for group in same.values() if len(group) > 1],
        [item.to_json() for item in prepared.skipped],
    )
