"""Opening a data set: from a path, or from what another library holds in memory."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svertka.data.samples import Dataset
from svertka.errors import UserError

if TYPE_CHECKING:
    import torch


def open_dataset(
    data: str | PathLike[str] | Dataset | torch.utils.data.Dataset[Any],
    format: str | None = None,  # noqa: A002 (the user's word)
) -> Dataset:
    """Open a data set, from a folder, a file or a ``torch.utils.data.Dataset``.

    Args:
        data: Where it lies; or a torch data set whose items are image and target. The image is a PIL image, an array
            ``(H, W, 3)`` or ``(H, W)`` uint8, or a tensor ``(C, H, W)``, uint8 or between 0 and 1. The target is the
            number of a class, which the attribute ``classes`` of the data set may name, or the class itself.
        format: The format to insist on, for a path; by default, the data set is looked at.

    Raises:
        UserError: It cannot be read.
    """
    if isinstance(data, str | PathLike):
        from svertka.data.readers.reading import open_dataset as read

        return read(Path(data), format)
    if format is not None:
        raise UserError("a format is insisted on, and the data are in memory", mend="leave format out")
    if isinstance(data, Dataset):
        return data
    if not hasattr(data, "__getitem__"):
        raise UserError(
            f"{type(data).__name__} is no data set",
            mend="give a path, or a torch data set with __len__ and __getitem__; streams are not read",
        )
    from svertka.data.readers.torch_items import read_items

    return read_items(data)
