"""What decoding one image may cost, whoever made the file.

The bounds hold an image to about 2 seconds of one core and 512 MB beyond its own bytes (measured with pillow 13).
A limit on the number of pixels would not do: 200 KB of progressive JPEG with 200 scans take 11 s, a TIFF image of
16×16 pixels in one huge tile takes 2 GB, and 11 MB of tiny EXIF segments take minutes. Out of reach is an AVIF file
whose picture is larger than its header says, which only its decoder finds out: 2 KB can take 1 GB for some seconds.
"""

from __future__ import annotations

import io
from typing import Final

from PIL import ImageFile, TiffImagePlugin
from PIL.ExifTags import Base as Tag

MAX_PIXELS: Final = 8192 * 6144  # what a 50-megapixel camera takes
MAX_BYTES: Final = 128 * 2**20

_READS = 250_000  # pillow runs some Python for each part of a file that it reads; a photograph has dozens of parts
_EXIF_SEGMENTS = 64  # pillow joins them one by one, in quadratic time
_STRIPS = 2**16  # pillow makes an object for each strip of a TIFF page before anyone can look at its size
_SCANNED_PIXELS = 20 * MAX_PIXELS  # a scan passes over all pixels, even to say nothing of them; 10 are usual


class TooCostlyError(Exception):
    """The file asks for more time or memory than one image is given."""


class BoundedReader(io.BytesIO):
    """A file in memory that can be read from a limited number of times."""

    _left = _READS

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, as from any file.

        Raises:
            TooCostlyError: It has been read from too often.
        """
        self._left -= 1
        if self._left < 0:
            raise TooCostlyError("made of too many small parts")
        return super().read(size)


def check_bytes(count: int) -> None:
    """Check the length of a file.

    Raises:
        TooCostlyError: It is over the limit.
    """
    if count > MAX_BYTES:
        raise TooCostlyError(f"{count:,} bytes, over the limit of {MAX_BYTES:,}")


def check_parts(name: str, data: bytes) -> None:
    """Check what would make it dear to open the file, in the format ``name``.

    Raises:
        TooCostlyError: There is too much of it.
    """
    if name == "JPEG" and data.count(b"Exif\0\0") > _EXIF_SEGMENTS:
        raise TooCostlyError(f"over {_EXIF_SEGMENTS} EXIF segments")
    if name == "TIFF" and _tiff_strips(data) > _STRIPS:
        raise TooCostlyError(f"over {_STRIPS:,} strips or tiles")
    if name == "GIF":
        width, height = _gif_size(data)
        if width * height > MAX_PIXELS:
            raise TooCostlyError(f"{width}×{height} pixels, over the limit of {MAX_PIXELS:,}")


def check_pixels(image: ImageFile.ImageFile, data: bytes, max_pixels: int) -> None:
    """Check what decoding an opened image will take, with ``max_pixels`` the limit for the plainest.

    Raises:
        TooCostlyError: It is too much.
    """
    kind, weight = _weight(image)
    size, pixels, limit = f"{image.width}×{image.height} pixels", image.width * image.height, int(max_pixels / weight)
    if pixels > limit:
        raise TooCostlyError(f"{size}, over the limit of {limit:,} for {kind}")
    if len(data) > MAX_BYTES / weight:
        raise TooCostlyError(f"{len(data):,} bytes, over the limit of {int(MAX_BYTES / weight):,} for {kind}")
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        tags = image.tag_v2
        if tags.get(TiffImagePlugin.TILEWIDTH, 0) * tags.get(TiffImagePlugin.TILELENGTH, 0) > limit:
            raise TooCostlyError(f"tiles of more than {limit:,} pixels")  # however small the image that uses them
    if "progressive" in image.info and pixels * data.count(b"\xff\xda") > _SCANNED_PIXELS:
        raise TooCostlyError(f"too many scans over {size}")


def _weight(image: ImageFile.ImageFile) -> tuple[str, float]:
    """The kind of image, and how dear one of its pixels is; that of a PNG is 1 (7 bytes, 40 ns)."""
    match image.format:
        case "JPEG" | "MPO" if "progressive" in image.info or image.mode == "CMYK":
            return "progressive or CMYK JPEG", 1.5  # all coefficients are held at once: up to 12 bytes
        case "WEBP" | "AVIF":
            return image.format, 2  # up to 20 bytes
        case "PPM" if image.tile[0].codec_name == "ppm_plain":
            return "PPM in text", 48 * len(image.getbands())  # decoded in Python: 3 µs
        case "TIFF" if image.info.get("compression") == "lzma":
            return "TIFF with LZMA", 4  # 120 ns
        case "TIFF" if isinstance(image, TiffImagePlugin.TiffImageFile):
            deep = sum(image.tag_v2.get(Tag.BitsPerSample, ())) > 32
            return "TIFF", 1.5 if deep else 1  # a page that is a single strip is held twice: up to 12 bytes
        case name:
            return str(name), 1


def _tiff_strips(data: bytes) -> int:
    """How many strips or tiles the first page of a TIFF file claims to have."""

    def number(start: int, count: int) -> int:
        return int.from_bytes(data[start : start + count], "little" if data.startswith(b"II") else "big")

    big = data[2] == 43  # BigTIFF, by the same sign as pillow
    entries = number(8, 8) if big else number(4, 4)
    first, step, wide = (entries + 8, 20, 8) if big else (entries + 2, 12, 4)
    tags = range(first, min(first + step * number(entries, first - entries), len(data)), step)
    offsets = {TiffImagePlugin.STRIPOFFSETS, TiffImagePlugin.TILEOFFSETS}
    return max((number(tag + 4, wide) for tag in tags if number(tag, 2) in offsets), default=0)


def _gif_size(data: bytes) -> tuple[int, int]:
    """Width and height that hold the screen and the first frame of a GIF file.

    Pillow makes room for that frame when it opens the file, and refuses to by a global limit alone.
    """

    def number(start: int) -> int:
        return int.from_bytes(data[start : start + 2], "little")

    place = 13 + (3 << (data[10] & 7) + 1 if data[10] & 128 else 0)
    while place < len(data) and data[place] not in b",;":
        if data[place] == ord("!"):
            place += 2
            while place < len(data) and data[place]:
                place += data[place] + 1
        place += 1
    left, top, width, height = (number(place + 1 + 2 * axis) for axis in range(4))
    return max(number(6), left + width), max(number(8), top + height)
