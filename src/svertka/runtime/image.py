"""From an image file to pixels: the one decoder of training, export, prediction and the server.

What a file becomes:

- The picture as a person sees it: turned by its EXIF (or XMP) orientation, transparency laid over white; the first
  frame of an animation, the first page of a document. Colour profiles are ignored: numbers are taken as sRGB.
- Samples of more than 8 bits fill 0..255 from the full range of their declared type, never from the content, so
  that images stay comparable: 16 bits are divided by 257, the 12 bits of a TIFF by 4095/255, and signed 16 bits begin
  at −32768. 12-bit data in a file that declares 16 bits come out dark, therefore.
- 32-bit integers and floats declare no range that anyone uses. Values within 0..1 (floats only), 0..255 or 0..65535
  (integers only) are taken as such; others are stretched from the least to the greatest in the image. NaN is black.

A file that is damaged, cut short, too large, or not of a format in ``FORMATS`` is refused. Left out on purpose:
icons (pillow decodes them before their size can be checked), PSD (a record of memory errors, and no use in data
sets), and all that is interpreted or handed to another program (EPS, WMF).
"""

from __future__ import annotations

import io
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import (  # noqa: F401 - each plugin adds its format to Image.OPEN
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TgaImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
from PIL.ExifTags import Base as Tag
from PIL.Image import Transpose

from svertka.errors import UserError

MAX_PIXELS: Final = 8192 * 6144  # what a 50-megapixel camera takes
MAX_BYTES: Final = 128 * 2**20

# In the order of trial: TGA has no signature, so it comes last.
FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "TGA")
IMAGE_SUFFIXES: Final = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".mpo",
        ".png",
        ".apng",
        ".webp",
        ".gif",
        ".bmp",
        ".tif",
        ".tiff",
        ".avif",
        ".avifs",
        ".jp2",
        ".j2k",
        ".j2c",
        ".jpc",
        ".jpf",
        ".jpx",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".pfm",
        ".tga",
    ]
)

_BAND = 2**18  # pixels converted at a time: they stay in the processor's cache
_HOLD_ORIENTATION = {"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"}
_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
# What people hand in by mistake, so that the refusal can name it.
_FOREIGN = {
    b"ftyphe": "a HEIC photo",
    b"JXL ": "a JPEG XL image",
    b"8BPS": "a Photoshop document",
    b"%PDF": "a PDF document",
    b"\x00\x00\x01\x00": "an icon",
    b"<": "a text such as HTML or SVG",
}


class ImageError(UserError):
    """An image that cannot be used."""


def read_image(path: Path, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode the image file at ``path``; see ``decode``.

    Raises:
        ImageError: There is no such file, it cannot be read, or ``decode`` refuses it.
    """
    return decode(read_file(path), where=path, max_pixels=max_pixels)


def read_file(path: Path) -> bytes:
    """The bytes of an image file.

    Raises:
        ImageError: There is no such file, it cannot be read, or it has more than ``MAX_BYTES``.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ImageError("a folder, not an image", where=path)
        if not stat.S_ISREG(status.st_mode):  # a pipe or a device may never end
            raise ImageError("not a regular file", where=path)
        _refuse_oversize(status.st_size, path)
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise ImageError(f"cannot be read ({getattr(error, 'strerror', error)})", where=path) from error


def decode(data: bytes, *, where: object = None, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Turn the bytes of an image file into pixels. Several threads may call it at once.

    Args:
        data: The whole file, at most ``MAX_BYTES``.
        where: What an error names as the place, such as the file's path.
        max_pixels: The greatest height × width; formats whose decoders take more memory get a part of it.

    Returns:
        ``(H, W, 3)`` uint8 RGB, contiguous and writable.

    Raises:
        ImageError: The image is damaged, cut short, empty, too large, or of a format that is not read.
    """
    if not data:
        raise ImageError("an empty file", where=where)
    _refuse_oversize(len(data), where)
    name = _format(data, where)
    try:
        with _pillow_silenced():
            # Not Image.open: its pixel limit is a global, and may be lower than the one asked for.
            image = Image.OPEN[name][0](io.BytesIO(data), "")
            _refuse_costly(image, data, max_pixels, where)
            image.load()
            return _upright_rgb(image)
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError("not enough memory to decode it", where=where) from error
    except Exception as error:  # a damaged file makes pillow raise nearly anything
        if name == "TGA" and isinstance(error, SyntaxError):
            raise _unknown_format(data, where) from error
        raise ImageError(f"not a readable {name} image ({str(error) or type(error).__name__})", where=where) from error


def _refuse_oversize(count: int, where: object) -> None:
    if count > MAX_BYTES:
        raise ImageError(f"{count:,} bytes, over the limit of {MAX_BYTES:,}", where=where)


def _format(data: bytes, where: object) -> str:
    for name in FORMATS:
        accept = Image.OPEN[name][1]
        accepted = accept is None or accept(data[:16])
        if isinstance(accepted, str):
            raise ImageError(f"{name}, which this build of pillow does not read", where=where)
        if accepted:
            break
    return name


def _unknown_format(data: bytes, where: object) -> ImageError:
    start = data[:32].lstrip()
    kind = next((kind for sign, kind in _FOREIGN.items() if start.startswith((sign, start[:4] + sign))), None)
    known = "no image format that is read here" if kind is None else f"{kind}, which is not read here"
    return ImageError(known, where=where, mend=f"save it as one of: {', '.join(FORMATS)}")


def _refuse_costly(image: ImageFile.ImageFile, data: bytes, max_pixels: int, where: object) -> None:
    weight = 1.0
    limit = int(max_pixels / weight)
    if image.width * image.height > limit:
        what = f"{image.width}×{image.height} pixels, over the limit of {limit:,} for {image.format}"
        raise ImageError(what, where=where, mend="make it smaller")


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
    """Drop warnings in this thread: an odd tag is not the user's fault, nor an error where warnings are errors."""
    if not warnings.filters or warnings.filters[0][2] is not _WarningWhileDecoding:
        warnings.simplefilter("ignore", _WarningWhileDecoding)
    _thread.decoding = True
    try:
        yield
    finally:
        _thread.decoding = False


def _upright_rgb(image: ImageFile.ImageFile) -> NDArray[np.uint8]:
    orientation = _orientation(image)
    sideways, from_end = orientation in (5, 6, 7, 8), orientation in (3, 4, 6, 7)
    turn = _UPRIGHT.get(orientation)
    limits = _range(image)
    width, height = image.size
    pixels = np.empty((width, height, 3) if sideways else (height, width, 3), np.uint8)
    for top, band in _bands(image):
        start = height - top - band.height if from_end else top
        rows = slice(start, start + band.height)
        part = pixels[:, rows] if sideways else pixels[rows]
        samples = _samples(band if turn is None else band.transpose(turn), limits)
        if samples.ndim == 3:
            part[...] = samples
        else:
            for channel in range(3):  # three times faster than one broadcast
                part[..., channel] = samples
    return pixels


def _orientation(image: ImageFile.ImageFile) -> int:
    # Pillow has turned TIFF pages already. The rest spares ordinary files the search for a tag they cannot have.
    if image.format == "TIFF" or not _HOLD_ORIENTATION & image.info.keys():
        return 1
    try:
        orientation = image.getexif().get(Tag.Orientation)
    except Exception:  # damaged EXIF is no reason to refuse the picture
        return 1
    return orientation if isinstance(orientation, int) and orientation in _UPRIGHT else 1


def _bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """The image cut into bands of whole rows, each with the index of its first row."""
    rows = max(1, _BAND // image.width)
    if rows >= image.height:
        yield 0, image
    else:
        for top in range(0, image.height, rows):
            yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _samples(band: Image.Image, limits: tuple[float, float]) -> NDArray[np.uint8]:
    """``(H, W)`` grey or ``(H, W, 3)`` RGB."""
    if band.mode.startswith(("I", "F")):
        samples = np.asarray(band)
        black, white = limits
        scaled = (samples.astype(np.float64) - black) * (255 / (white - black))
        levels = (np.nan_to_num(scaled, nan=0.0).clip(0, 255) + 0.5).astype(np.uint8)
        clear = band.info.get("transparency")
        if isinstance(clear, int):
            levels[samples == clear] = 255
        return levels
    if band.has_transparency_data:
        if band.mode in ("La", "RGBa"):  # colour times alpha, to which pillow knows only these ways out
            band = band.convert(band.mode.upper())
        band = band.convert("RGBA")
        paper = Image.new("RGB", band.size, "white")
        paper.paste(band, mask=band)
        return np.asarray(paper)
    return np.asarray(band if band.mode in ("L", "RGB") else band.convert("RGB"))


def _range(image: ImageFile.ImageFile) -> tuple[float, float]:
    """The values that become 0 and 255, for samples of more than 8 bits."""
    if not image.mode.startswith(("I", "F")):
        return 0, 255
    tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
    bits = tags.get(Tag.BitsPerSample, (16,))[0]
    if bits == 32 or image.mode == "F":
        black, white = _range_of_content(image)
    elif image.mode == "I" and tags:
        black, white = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    else:
        black, white = 0, 2**bits - 1
    if tags.get(Tag.PhotometricInterpretation) == 0:
        return white, black
    return black, white


def _range_of_content(image: ImageFile.ImageFile) -> tuple[float, float]:
    black, white = np.inf, -np.inf
    for _, band in _bands(image):
        samples = np.asarray(band)
        finite = samples[np.isfinite(samples)]
        black, white = finite.min(initial=black), finite.max(initial=white)
    for usual in (1, 255) if image.mode == "F" else (255, 65535):
        if black >= 0 and white <= usual:
            return 0, usual
    return black, max(white, black + 1)
