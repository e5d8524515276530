"""From an image that pillow has opened to an upright array of RGB; what becomes what is told in ``image.py``.

The image is converted in bands: these stay in the processor's cache, which is faster than one sweep over a large
image, and takes no memory but that of the result.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import GifImagePlugin, Image, ImageFile, TiffImagePlugin
from PIL.ExifTags import Base as Tag
from PIL.Image import Transpose

_BAND = 2**18  # pixels
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


class FirstFrame(GifImagePlugin.GifImageFile):
    """The first frame of a GIF, with its palette, whatever ``GifImagePlugin.LOADING_STRATEGY`` says: it is a global
    that another library in the process may have set, and indices of a mask would be colours then."""

    def load_end(self) -> None:
        """Keep the frame as it was decoded."""
        if self._frame_transparency is not None:
            self.info["transparency"] = self._frame_transparency


def upright_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Decode an opened image to ``(H, W, 3)`` uint8 RGB, contiguous and writable.

    Raises:
        Exception: Whatever pillow raises on damaged files.
    """
    if isinstance(image, TiffImagePlugin.TiffImageFile) and _covered(image) < image.width * image.height:
        raise ValueError("strips or tiles are missing")  # which pillow would leave black
    image.load()
    if image.format in ("BMP", "TGA") and image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0):
        image.putalpha(255)  # in these formats a fourth byte is often there and never set
    turned = orientation(image)
    sideways, from_end = turned in (5, 6, 7, 8), turned in (3, 4, 6, 7)
    turn = _UPRIGHT.get(turned)
    limits = _limits(image)
    width, height = image.size
    pixels = np.empty((width, height, 3) if sideways else (height, width, 3), np.uint8)
    whole = image.convert("RGB") if image.mode == "LAB" else image  # to set up this conversion takes longer than a band
    for top, band in _bands(whole):
        start = height - top - band.height if from_end else top
        rows = slice(start, start + band.height)
        part = pixels[:, rows] if sideways else pixels[rows]
        levels = _levels(band if turn is None else band.transpose(turn), limits)
        if levels.ndim == 3:
            part[...] = levels
        else:
            for channel in range(3):  # several times faster than to broadcast
                part[..., channel] = levels
    return pixels


def upright_samples(image: ImageFile.ImageFile) -> NDArray[np.uint16]:
    """The numbers of an opened image, ``(H, W)`` or, in colour, ``(H, W, 3)``; a palette's indices.

    Raises:
        Exception: Whatever pillow raises on damaged files; ValueError where samples do not fit into 16 bits.
    """
    image.load()
    turn = _UPRIGHT.get(orientation(image))
    whole = image if turn is None else image.transpose(turn)
    if whole.mode in ("LA", "PA", "La"):
        whole = whole.getchannel(0)
    elif whole.mode == "1":
        whole = whole.convert("L")
    elif whole.mode not in ("L", "P", "RGB") and not whole.mode.startswith("I"):
        whole = whole.convert("RGB")
    samples = np.asarray(whole)
    if samples.size and not 0 <= int(samples.min()) <= int(samples.max()) <= 65535:
        raise ValueError("numbers that 16 bits cannot hold")
    return samples.astype(np.uint16)


def upright_size(image: ImageFile.ImageFile) -> tuple[int, int]:
    """Height and width that ``upright_rgb`` would give an opened image."""
    width, height = image.size
    # Of TIFF, pillow tells the size of the page as it turns it.
    return (width, height) if orientation(image) in (5, 6, 7, 8) else (height, width)


def odd_ppm(image: ImageFile.ImageFile, data: bytes) -> NDArray[np.uint8]:
    """Decode a binary PPM or PGM of unusual depth, on which pillow spends 2 to 5 µs a pixel; as ``upright_rgb``.

    Raises:
        ValueError: The file is cut short.
    """
    offset, (_, greatest) = image.tile[0].offset, cast(tuple[str, int], image.tile[0].args)
    shape = (image.height, image.width, len(image.getbands()))
    kind = np.dtype(">u2" if greatest > 255 else np.uint8)
    samples = np.frombuffer(data, kind, int(np.prod(shape)), offset).reshape(shape)
    pixels = np.empty((*shape[:2], 3), np.uint8)
    rows = _rows(image)
    for top in range(0, image.height, rows):
        pixels[top : top + rows] = _scale(samples[top : top + rows], (0, greatest))
    return pixels


def _covered(image: ImageFile.ImageFile) -> int:
    """How many pixels the parts of the file hold."""
    extents = [tile.extents or (0, 0, 0, 0) for tile in image.tile]
    return sum((right - left) * (lower - upper) for left, upper, right, lower in extents)


def orientation(image: Image.Image) -> int:
    """The EXIF (or XMP) orientation that is still to be undone; 1 is upright."""
    # Pillow has turned TIFF pages itself. Most other files have nothing that could hold the tag: no search, then.
    if image.format == "TIFF" or not _HOLD_ORIENTATION & image.info.keys():
        return 1
    try:
        tag = image.getexif().get(Tag.Orientation)
    except Exception:  # damaged EXIF is no reason to refuse the picture
        return 1
    return tag if isinstance(tag, int) else 1


def _rows(image: Image.Image) -> int:
    return max(1, _BAND // image.width)


def _bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """The image cut into bands of whole rows, each with the index of its first row."""
    rows = _rows(image)
    if rows >= image.height:
        yield 0, image
    else:
        for top in range(0, image.height, rows):
            yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _levels(band: Image.Image, limits: tuple[float, float]) -> NDArray[np.uint8]:
    """``(H, W)`` grey or ``(H, W, 3)`` RGB."""
    if band.mode.startswith(("I", "F")):
        samples = np.asarray(band)
        levels = _scale(samples, limits)
        if isinstance(clear := band.info.get("transparency"), int):
            levels[samples == clear] = 255
        return levels
    if band.has_transparency_data:
        if band.mode in ("La", "RGBa"):  # multiplied by alpha; pillow converts them to nothing else
            band = band.convert(band.mode.upper())
        band = band.convert("RGBA")
        paper = Image.new("RGB", band.size, "white")
        paper.paste(band, mask=band)
        return np.asarray(paper)
    return np.asarray(band if band.mode in ("L", "RGB") else band.convert("RGB"))


def _scale(samples: NDArray[np.generic], limits: tuple[float, float]) -> NDArray[np.uint8]:
    black, white = limits
    scaled = (samples.astype(np.float64) - black) * 255 / (white - black)
    return (np.nan_to_num(scaled, nan=0.0).clip(0, 255) + 0.5).astype(np.uint8)


def _limits(image: Image.Image) -> tuple[float, float]:
    """The values that become 0 and 255, for samples of more than 8 bits."""
    if not image.mode.startswith(("I", "F")):
        return 0, 255
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return _limits_of_content(image, (1, 255)) if image.mode == "F" else (0, 65535)
    bits = image.tag_v2.get(Tag.BitsPerSample, (16,))[0]
    if image.mode.startswith("I;16"):
        black, white = 0.0, 2.0**bits - 1
    elif image.mode == "I":
        black, white = _limits_of_content(image, (255, 65535) if bits == 32 else (32767,))
    else:
        black, white = _limits_of_content(image, (1, 255))
    inverted = image.tag_v2.get(Tag.PhotometricInterpretation) == 0  # white is zero: pillow heeds it up to 8 bits
    return (white, black) if inverted else (black, white)


def _limits_of_content(image: Image.Image, usual: tuple[int, ...]) -> tuple[float, float]:
    """0 and the first of the ``usual`` values to which all samples come up; failing that, their extremes."""
    least, greatest = np.inf, -np.inf
    for _, band in _bands(image):
        samples = np.asarray(band, np.float64)
        finite = samples[np.isfinite(samples)]
        least, greatest = finite.min(initial=least), finite.max(initial=greatest)
    for white in usual:
        if least >= 0 and greatest <= white:
            return 0, white
    return least, max(greatest, least + 1)
