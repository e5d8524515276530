"""Opening a data set, whatever its format."""

from __future__ import annotations

from pathlib import Path

from svertka.data.coco import COCO
from svertka.data.cvat import CVAT
from svertka.data.folders import FOLDERS
from svertka.data.idx import IDX
from svertka.data.label_studio import LABEL_STUDIO
from svertka.data.labelme import LABELME
from svertka.data.masks import MASKS
from svertka.data.pairs import PAIRS
from svertka.data.samples import Dataset, Format
from svertka.data.table import TABLE
from svertka.data.voc import VOC
from svertka.data.yolo import YOLO
from svertka.errors import UserError, nearest

FORMATS: tuple[Format, ...] = (
    *(TABLE, IDX, COCO, LABEL_STUDIO, LABELME, VOC, CVAT, YOLO),
    *(MASKS, PAIRS, FOLDERS),
)
"""Those with the plainest marks come first; what has none is taken for class folders."""


def open_dataset(path: Path, format: str | None = None) -> Dataset:  # noqa: A002 (the user's word)
    """Read the data set at ``path``.

    Args:
        path: A folder or a file.
        format: Name of one of `FORMATS`; by default, the first that it looks like.

    Raises:
        UserError: There is nothing, nothing that is read here, or no format of that name.
    """
    if not path.exists():
        raise UserError("no such folder", where=path, mend="give a folder with a folder of images for each class")
    if format is not None:
        named = {entry.name: entry for entry in FORMATS}
        if format not in named:
            raise UserError(f"unknown format {format!r}", mend=nearest(format, named))
        return named[format].read(path)
    for entry in FORMATS:
        if entry.fits(path):
            return entry.read(path)
    raise UserError(
        "a file, not a data set",
        where=path,
        mend="give a folder with class folders, or a .csv of file,label",
    )
