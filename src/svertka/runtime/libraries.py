"""Where libraries put what they write as soon as they are imported: into our cache folder, and not elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

from svertka.runtime.files import cache_folder


def give_libraries_folders() -> None:
    """Name folders in the cache to PyTorch and matplotlib, before they are imported; what the user has set, stays.

    Else PyTorch makes a folder in the system's folder for temporary files, under a name that anyone can guess, and
    matplotlib makes two in the user's home.
    """
    try:
        cache = cache_folder().absolute()
        own = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config", "matplotlib")
    except RuntimeError:  # a user without a home
        return
    if not _can_be_made(cache):
        return
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache / "torchinductor"))
    if not own.exists():  # settings of the user's own are for plots of the user's own, in the same process
        os.environ.setdefault("MPLCONFIGDIR", str(cache / "matplotlib"))


def _can_be_made(folder: Path) -> bool:
    nearest = next(place for place in (folder, *folder.parents) if place.exists())
    return nearest.is_dir() and os.access(nearest, os.W_OK)
