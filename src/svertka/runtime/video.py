"""Frames of a video, as a person sees them, where PyAV is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from svertka.errors import UserError
from svertka.runtime.image import MAX_PIXELS, ImageError

# The container is named, never guessed: playlists, which send their reader to other files and hosts, are none of these.
_CONTAINERS: Final = {
    ".mp4": "mov",
    ".m4v": "mov",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "matroska",
    ".avi": "avi",
}
VIDEO_SUFFIXES: Final = frozenset(_CONTAINERS)


def frames(path: Path, every: float) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Frames of a video: the first, and the first after each ``every`` seconds.

    Yields:
        Seconds from the beginning, and the picture, ``(H, W, 3)`` uint8 RGB, turned as it is to be shown.

    Raises:
        UserError: PyAV is not installed.
        ImageError: The file is missing, damaged, too large, or holds no video.
    """
    try:
        import av
    except ImportError as error:
        raise UserError(
            "frames of a video are read by PyAV", where=path, mend="pip install 'svertka[video]'"
        ) from error
    due = 0.0
    try:
        with path.open("rb") as file, av.open(file, "r", format=_CONTAINERS[path.suffix.lower()]) as container:
            if not container.streams.video:
                raise ImageError("it holds no video")
            for frame in container.decode(container.streams.video[0]):
                seconds = 0.0 if frame.time is None else float(frame.time)
                if seconds < due:
                    continue
                while due <= seconds:
                    due += every
                yield seconds, _picture(frame)
    except (av.error.FFmpegError, OSError) as error:
        raise ImageError(f"no video that can be read ({error.strerror or error})") from error


def _picture(frame: Any) -> NDArray[np.uint8]:
    if frame.width * frame.height > MAX_PIXELS:
        raise ImageError(f"frames of {frame.width:,} × {frame.height:,} pixels are too large")
    picture: NDArray[np.uint8] = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(picture, round(frame.rotation / 90)))
