"""From an image file to pixels: the one decoder of training, export, prediction and the server.

What a file becomes:

- The picture as a person sees it: turned by its EXIF (or XMP) orientation, transparency laid over white; the first
  frame of an animation, the first page of a document. Colour profiles are ignored: numbers are taken as sRGB.
- 16-bit samples are divided by 257, samples of a declared lesser depth (PPM, 12-bit TIFF) by less: always by the
  whole range, so that images stay comparable. (12-bit data that a file declares as 16-bit come out dark.)
- Signed samples, 32-bit integers and floats declare no range that anyone uses. Values within 0..1 (floats), 0..255,
  0..32767 (signed 16-bit) or 0..65535 (32-bit) are taken as such; others are stretched from the least to the
  greatest in the image. NaN is black.

A file that is damaged, cut short, too large, or in no format of ``FORMATS`` is refused. Left out on purpose: JPEG
2000 (430 bytes of it can take 8 GB), icons (pillow decodes them before their size can be looked at), PSD (a record of
memory errors, and no use in data sets), and all that is interpreted or handed to another program (EPS, WMF).
"""

from __future__ import annotations

import logging
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import (  # noqa: F401 - each plugin adds its format to Image.OPEN
    AvifImagePlugin,
    BmpImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TgaImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from svertka.errors import UserError
from svertka.runtime import _image_limits
from svertka.runtime._image_limits import BoundedReader, TooCostlyError, check_bytes, check_parts, check_pixels
from svertka.runtime._image_pixels import (
    FirstFrame,
    odd_ppm,
    orientation,
    upright_rgb,
    upright_samples,
    upright_size,
)

MAX_PIXELS: Final = _image_limits.MAX_PIXELS
MAX_BYTES: Final = _image_limits.MAX_BYTES

# In the order of trial: TGA has no signature, so it comes last.
FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM", "TGA")
# fmt: off
IMAGE_SUFFIXES: Final = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".tif", ".tiff",
    ".avif", ".avifs", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".tga",
))
# fmt: on

_OTHER_FORMAT = "save it as JPEG or PNG"
_SMALLER = "save it anew, and smaller"
# What people hand in by mistake, so that the refusal can name it.
_FOREIGN = {
    b"ftyphe": "a HEIC photo",
    b"JXL ": "a JPEG XL image",
    b"jP  ": "a JPEG 2000 image",
    b"\xff\x4f\xff\x51": "a JPEG 2000 image",
    b"8BPS": "a Photoshop document",
    b"%PDF": "a PDF document",
    b"\x00\x00\x01\x00": "an icon",
    b"<": "a text such as HTML or SVG",
}

# Without any handler Python would print what pillow logs.
logging.getLogger("PIL").addHandler(logging.NullHandler())


class ImageError(UserError):
    """An image that cannot be used."""


class TooLargeError(ImageError):
    """An image that takes more time or memory than one is given."""


_SEEN = 128  # of 255: the alpha of a pixel that is half seen


def read_image(path: Path, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode the image file at ``path``; see ``decode``.

    Raises:
        ImageError: There is no such file, it cannot be read, or ``decode`` refuses it.
    """
    return decode(read_file(path), where=path, max_pixels=max_pixels)


def pixels_of(picture: Image.Image) -> NDArray[np.uint8]:
    """The pixels of a picture that Pillow has opened or made, as `decode` gives those of a file.

    Raises:
        ImageError: It is empty, too large, or cannot be decoded.
    """
    if not 0 < picture.width * picture.height <= MAX_PIXELS:
        raise ImageError(f"a picture of {picture.width:,}×{picture.height:,} pixels")
    try:
        with _pillow_silenced():
            # A TIFF that is decoded already has no strips left to count.
            return upright_rgb(picture.copy() if picture.format == "TIFF" else picture)
    except Exception as error:  # whatever pillow raises on damaged files
        raise ImageError(f"not a readable picture ({type(error).__name__})") from error


def read_file(path: Path, offset: int = 0, size: int | None = None) -> bytes:
    """The bytes of an image file, or of an image that stands in a larger one.

    Args:
        path: The file.
        offset: Where the image begins in it.
        size: How many bytes it has, at most; all from there on if not given.

    Raises:
        ImageError: There is no such file, it cannot be read, or it has more than ``MAX_BYTES``.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ImageError("a folder, not an image", where=path)
        if not stat.S_ISREG(status.st_mode):  # a pipe or a device may never end
            raise ImageError("not a regular file", where=path)
        size = status.st_size - offset if size is None else size
        check_bytes(size)
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)
    except TooCostlyError as error:
        raise TooLargeError(str(error), where=path, mend=_SMALLER) from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise ImageError(f"cannot be read ({getattr(error, 'strerror', error)})", where=path) from error


def decode(data: bytes, *, where: object = None, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Turn the bytes of an image file into pixels. Several threads may call it at once.

    Args:
        data: The whole file, at most ``MAX_BYTES``.
        where: What an error names as the place, such as the file's path.
        max_pixels: The greatest height × width. Formats that are dear to decode get a part of it.

    Returns:
        ``(H, W, 3)`` uint8 RGB, contiguous and writable.

    Raises:
        ImageError: The image is damaged, cut short, empty, too large, or of a format that is not read.
    """
    with _opened(data, where, max_pixels) as image:
        return _pixels(image, data)


@dataclass(frozen=True, slots=True)
class Glance:
    """What a file says of its image, and the image, possibly smaller.

    Attributes:
        format: One of ``FORMATS``, or ``MPO``.
        mode: Pillow's name for the kind of pixels: ``RGB``, ``L``, ``CMYK``, ….
        orientation: EXIF orientation; 1 is upright.
        height, width: As the image lies in the file.
        pixels: ``(H, W, 3)`` uint8 RGB, upright.
    """

    format: str
    mode: str
    orientation: int
    height: int
    width: int
    pixels: NDArray[np.uint8]


def glance(data: bytes, *, side: int, where: object = None) -> Glance:
    """As `decode`, where a smaller image will do; JPEG is decoded in a fraction of the time then.

    All of the file is read, so what is damaged or cut short is refused as `decode` refuses it.

    Args:
        data: The whole file.
        side: Pixels that either side of the result has at least, where the image has as many.
        where: What an error names as the place.
    """
    with _opened(data, where, MAX_PIXELS) as image:
        name, mode, (width, height) = str(image.format), image.mode, image.size
        image.draft(None, (side, side))
        turned = orientation(image)
        return Glance(name, mode, turned, height, width, _pixels(image, data))


def decode_samples(data: bytes, *, where: object = None, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint16]:
    """The numbers in an image file rather than its colours, for masks: a palette's indices, grey levels as they are.

    Args:
        data: The whole file, at most ``MAX_BYTES``.
        where: What an error names as the place.
        max_pixels: See `decode`.

    Returns:
        Upright: ``(H, W)`` uint16 of a grey, black-and-white (0 and 255) or palette image, ``(H, W, 3)`` of one in
        colour.

    Raises:
        ImageError: See `decode`.
    """
    with _opened(data, where, max_pixels) as image:
        return upright_samples(image)


def image_size(data: bytes, *, where: object = None, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Height and width that `decode` would give the image, without decoding it.

    Raises:
        ImageError: The header is damaged, or the image too large or of a format that is not read.
    """
    with _opened(data, where, max_pixels) as image:
        return upright_size(image)


def is_partly_transparent(data: bytes, *, where: object = None) -> bool:
    """Whether an image has pixels that are seen and others through which the background is.

    Raises:
        ImageError: See `decode`.
    """
    with _opened(data, where, MAX_PIXELS) as image:
        if not image.has_transparency_data:
            return False
        seen = np.asarray(image.convert("RGBA").getchannel("A")) >= _SEEN
        return bool(seen.any() and not seen.all())


@contextmanager
def _opened(data: bytes, where: object, max_pixels: int) -> Iterator[ImageFile.ImageFile]:
    """An image whose header was read and that is not too dear; what is raised within becomes an `ImageError`."""
    if not data:
        raise ImageError("an empty file", where=where)
    name = _format(data, where)
    try:
        check_bytes(len(data))
        check_parts(name, data)
        with _pillow_silenced():
            # Not Image.open: its pixel limit is a global, and may be lower than the one asked for.
            opened = FirstFrame if name == "GIF" else Image.OPEN[name][0]
            image = opened(BoundedReader(data), "")
            check_pixels(image, data, max_pixels)
            yield image
    except TooCostlyError as error:
        raise TooLargeError(str(error), where=where, mend=_SMALLER) from error
    except MemoryError as error:
        raise TooLargeError("not enough memory to decode it", where=where, mend=_SMALLER) from error
    except Exception as error:  # a damaged file makes pillow raise nearly anything
        if name == "TGA" and isinstance(error, SyntaxError):
            what = f"no image format that is read here (allowed: {', '.join(FORMATS)})"
            raise ImageError(what, where=where, mend=_OTHER_FORMAT) from error
        what = f"not a readable {name} image ({str(error) or type(error).__name__})"
        raise ImageError(what, where=where) from error


def _pixels(image: ImageFile.ImageFile, data: bytes) -> NDArray[np.uint8]:
    if image.format == "PPM" and image.tile[0].codec_name == "ppm":
        return odd_ppm(image, data)
    return upright_rgb(image)


def _format(data: bytes, where: object) -> str:
    start = data[:16]
    for name in FORMATS:
        accept = Image.OPEN[name][1]
        accepted = accept is not None and accept(start)
        if isinstance(accepted, str):
            raise ImageError(f"{name}, which this build of pillow does not read", where=where)
        if accepted:
            return name
    for sign, kind in _FOREIGN.items():
        if start.lstrip().startswith((sign, start[:4] + sign)):
            raise ImageError(f"{kind}, which is not read here", where=where, mend=_OTHER_FORMAT)
    return "TGA"


class _Decoding(type):
    """Takes every warning for a subclass of its classes, but only in a thread that is decoding.

    A filter with such a class can stay where it is, as it is blind to warnings from elsewhere; whereas
    ``warnings.catch_warnings`` changes and restores what all threads share.
    """

    def __subclasscheck__(cls, category: type) -> bool:
        return getattr(_thread, "decoding", False) and not issubclass(category, DeprecationWarning)


class _WarningWhileDecoding(Warning, metaclass=_Decoding):
    pass


_thread = threading.local()


@contextmanager
def _pillow_silenced() -> Iterator[None]:
    """Drop this thread's warnings: an odd tag is no fault of the user, and no error where warnings are errors."""
    if not warnings.filters or warnings.filters[0][2] is not _WarningWhileDecoding:
        warnings.simplefilter("ignore", _WarningWhileDecoding)
    _thread.decoding = True
    try:
        yield
    finally:
        _thread.decoding = False
