"""JSON documents with a checksum, for caches: what was damaged is never taken for what was written."""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from svertka.errors import harmless
from svertka.runtime.files import write_text

_CHECKSUM = "checksum"
_LOGGER = logging.getLogger("svertka")


class DamagedError(ValueError):
    """A file is not what was written: cut short, or with other bytes."""


def write_checked(path: Path, values: Mapping[str, Any], *, indent: int | None = None) -> None:
    """Write a JSON object to ``path``, whole or not at all, with a checksum of its content.

    Args:
        path: Where to.
        values: The object; it must not have a key ``checksum``.
        indent: Spaces a level, where people read the file; by default all is on one line.

    Raises:
        UserError: It cannot be written.
    """
    content = json.loads(json.dumps(values))  # as it will be read: keys are text, tuples are lists
    write_text(path, json.dumps({_CHECKSUM: _checksum(content), **content}, indent=indent) + "\n")


def read_checked(path: Path, *, required: bool = True) -> dict[str, Any]:
    """The JSON object that `write_checked` wrote, without its checksum.

    Args:
        path: The file.
        required: Whether an object without a checksum is damaged; older releases wrote none.

    Raises:
        OSError: There is no such file, or it cannot be read.
        DamagedError: It is something else.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{path.name} is no JSON") from error
    if not isinstance(values, dict):
        raise DamagedError(f"{path.name} holds no JSON object")
    checksum = values.pop(_CHECKSUM, None)
    if checksum != _checksum(values) and (required or checksum is not None):
        raise DamagedError(f"{path.name} does not have the checksum that stands in it")
    return values


def report_damaged(path: Path, remedy: str) -> None:
    """Tell the user, in one line on standard error or wherever the log goes, that a kept file was damaged.

    Args:
        path: The file.
        remedy: What is done about it, such as ``its images are decoded again``.
    """
    _LOGGER.warning("svertka: warning: %s", harmless(f"{path} is damaged; {remedy}"))


def _checksum(values: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(values, sort_keys=True).encode())
