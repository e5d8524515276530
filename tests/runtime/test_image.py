"""The image decoder: what a file becomes, what is refused, and what it may cost."""

from __future__ import annotations

import io
import os
import pickle
import struct
import subprocess
import sys
import threading
import time
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import GifImagePlugin, Image, ImageFile

from svertka.runtime.image import (
    FORMATS,
    IMAGE_SUFFIXES,
    MAX_BYTES,
    MAX_PIXELS,
    ImageError,
    decode,
    decode_samples,
    read_file,
    read_image,
)

Pixels = NDArray[np.uint8]

# It differs from all its reflections and rotations, also in grey and in black and white.
PICTURE = np.array(
    [[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[255, 255, 0], [0, 0, 0], [255, 255, 255]]],
    np.uint8,
)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def exif(orientation: object) -> bytes:
    tags = Image.Exif()
    tags[271] = "Maker"
    tags[274] = orientation
    return tags.tobytes()


def stored(upright: Pixels, orientation: int) -> Pixels:
    """What a camera stores under this orientation, so that `upright` is seen."""
    turned = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }
    return np.ascontiguousarray(turned[orientation])


def tiff(samples: NDArray[np.generic], tags: dict[int, int] | None = None, data: bytes | None = None) -> bytes:
    """A grey TIFF page in one strip, with such tags as pillow's own writer does not offer."""
    data = samples.tobytes() if data is None else data
    height, width = samples.shape
    entries = {256: width, 257: height, 258: samples.dtype.itemsize * 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: height}
    entries |= {279: len(data), 339: "uif".index(samples.dtype.kind) + 1} | (tags or {})
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(entries.items()))
    header = struct.pack("<2sHI", b"II", 42, 8 + len(data))
    return header + data + struct.pack("<H", len(entries)) + directory + bytes(4)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    """An RGB PNG of these chunks between the first and the last."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + png_chunk(b"IEND", b"")


def levels(values: object, kind: type, tags: dict[int, int] | None = None) -> list[int]:
    """What the samples of a one-row TIFF image become."""
    pixels = decode(tiff(np.array([values], kind), tags))
    assert (pixels == pixels[..., :1]).all()
    return pixels[0, :, 0].tolist()


def photo(width: int, height: int) -> Image.Image:
    """Something smooth with detail, as photographs are."""
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x * 255 // width, y * 255 // height, (x // 4 + y // 4) * 37 % 256], -1)
    return Image.fromarray(pixels.astype(np.uint8))


# What a file becomes


@pytest.mark.parametrize("kind", FORMATS)
def test_rgb_in_every_format(kind: str) -> None:
    picture = PICTURE.repeat(32, 0).repeat(32, 1)
    options = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}, "AVIF": {"quality": 100}}.get(kind, {})
    pixels = decode(encode(Image.fromarray(picture), kind, **options))
    assert pixels.shape == picture.shape
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable
    centres = pixels[16::32, 16::32].astype(int)
    assert abs(centres - PICTURE).max() <= (3 if kind in ("JPEG", "AVIF") else 0)


def over_white(colour: Pixels, alpha: Pixels) -> Pixels:
    part = alpha[..., None] / 255
    return np.round(colour * part + 255 * (1 - part)).astype(np.uint8)


def in_mode(mode: str, pixels: Pixels) -> tuple[Image.Image, Pixels]:
    """A picture in a mode of pillow, and what it is to look like in the end."""
    image = Image.fromarray(pixels)
    luma = np.asarray(image.convert("L"))
    grey = np.dstack([luma] * 3)
    alpha = 255 - luma // 2
    match mode:
        case "1":
            return image.convert("L").point(lambda level: 255 * (level > 127), "1"), np.where(grey > 127, 255, 0)
        case "L":
            return image.convert("L"), grey
        case "LA" | "RGBA":
            image = image.convert(mode)
            image.putalpha(Image.fromarray(alpha))
            return image, over_white(pixels if mode == "RGBA" else grey, alpha)
        case "P" | "P, one colour clear" | "P, alpha by colour" | "PA":
            red = (pixels == (255, 0, 0)).all(-1)
            image = image.quantize(8, dither=Image.Dither.NONE)
            index = int(np.asarray(image)[red][0])
            if mode == "P":
                return image, pixels
            half = mode == "P, alpha by colour"
            image.info["transparency"] = bytes([255] * index + [128]) if half else index
            clear = over_white(pixels, np.where(red, 128 if half else 0, 255))
            return image.convert("PA") if mode == "PA" else image, clear
        case "I;16":
            return Image.fromarray(luma.astype(np.uint16) * 257), grey
        case "I":
            return Image.fromarray(luma.astype(np.int32)), grey
        case "F":
            return Image.fromarray(luma.astype(np.float32) / 255), grey
    return image.convert(mode), pixels


PNG_MODES = ["1", "L", "LA", "P", "P, one colour clear", "P, alpha by colour", "RGB", "RGBA", "I;16"]
TIFF_MODES = ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "I;16", "I", "F", "CMYK", "YCbCr", "LAB"]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "mode"), [("PNG", mode) for mode in PNG_MODES] + [("TIFF", mode) for mode in TIFF_MODES]
)
def test_modes_and_orientations(kind: str, mode: str, orientation: int) -> None:
    image, _ = in_mode(mode, stored(PICTURE, orientation))
    _, expected = in_mode(mode, PICTURE)
    options = {"tiffinfo": {274: orientation}} if kind == "TIFF" else {"exif": exif(orientation)}
    pixels = decode(encode(image, kind, **options))
    assert pixels.shape == expected.shape
    assert abs(pixels.astype(int) - expected).max() <= {"YCbCr": 2, "LAB": 24}.get(mode, 1)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_colour_that_was_multiplied_by_alpha(mode: str) -> None:
    image, expected = in_mode(mode, PICTURE)
    samples = np.asarray(image).astype(float)
    samples[..., :-1] *= samples[..., -1:] / 255
    data = encode(Image.fromarray(np.round(samples).astype(np.uint8), mode), "TIFF")
    unassociated, associated = (struct.pack("<HHIH", 338, 3, 1, value) for value in (2, 1))
    assert unassociated in data
    pixels = decode(data.replace(unassociated, associated))
    assert abs(pixels.astype(int) - expected).max() <= 2


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg_modes_and_orientations(mode: str, orientation: int) -> None:
    blocks = stored(PICTURE, orientation).repeat(16, 0).repeat(16, 1)
    image, _ = in_mode(mode, blocks)
    _, expected = in_mode(mode, PICTURE)
    pixels = decode(encode(image, "JPEG", exif=exif(orientation), quality=95, subsampling=0))
    assert pixels.shape == (32, 48, 3)
    assert abs(pixels[8::16, 8::16].astype(int) - expected).max() <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_orientation_of_an_image_converted_in_bands(mode: str, orientation: int) -> None:
    pixels = np.asarray(photo(701, 1003))
    image, _ = in_mode(mode, stored(pixels, orientation))
    _, expected = in_mode(mode, pixels)
    decoded = decode(encode(image, "PNG", exif=exif(orientation), compress_level=0))
    assert abs(decoded.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    ("kind", "count", "value"),
    [
        (3, 1, struct.pack("<HH", 0, 0)),
        (3, 1, struct.pack("<HH", 9, 0)),
        (3, 0, struct.pack("<HH", 6, 0)),
        (2, 2, b"6\0\0\0"),
        (7, 4, b"\6\6\6\6"),
        (11, 1, struct.pack("<f", 6.5)),
        (9, 1, struct.pack("<i", -6)),
        (99, 1, struct.pack("<HH", 6, 0)),
    ],
)
def test_orientation_that_makes_no_sense_is_ignored(kind: int, count: int, value: bytes) -> None:
    tags = b"Exif\0\0II*\0" + struct.pack("<IHHHI", 8, 1, 274, kind, count) + value + bytes(4)
    for file_format in ("PNG", "WEBP"):
        data = encode(Image.fromarray(PICTURE), file_format, exif=tags, lossless=True)
        np.testing.assert_array_equal(decode(data), PICTURE)


def test_orientation_in_xmp() -> None:
    text = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="3"/></x:xmpmeta>'
    chunk = png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + text.encode())
    data = encode(Image.fromarray(stored(PICTURE, 3)), "PNG")
    np.testing.assert_array_equal(decode(data[:33] + chunk + data[33:]), PICTURE)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 12, 20, 30])
def test_damaged_exif_does_not_matter(length: int) -> None:
    whole = exif(6)
    for damaged in (whole[: 6 + length], whole[:6] + bytes(length), whole[:6] + b"\xff" * length):
        image = Image.fromarray(PICTURE)
        for kind in ("JPEG", "PNG", "WEBP"):
            assert sorted(decode(encode(image, kind, exif=damaged)).shape) == [2, 3, 3]


def test_sixteen_bits_are_divided_by_257() -> None:
    values = np.arange(2**16, dtype=np.uint16).reshape(256, 256)
    expected = np.round(values / 257).astype(np.uint8)
    for data in (
        encode(Image.fromarray(values), "PNG"),
        encode(Image.fromarray(values), "TIFF", compression="tiff_lzw"),
        tiff(values),
        b"P5 256 256 65535\n" + values.astype(">u2").tobytes(),
    ):
        np.testing.assert_array_equal(decode(data)[..., 1], expected)


def test_samples_are_scaled_by_the_range_of_their_type() -> None:
    assert levels([0, 257, 514, 65535], np.uint16) == [0, 1, 2, 255]
    assert levels([0, 257, 514, 65535], np.uint16, {262: 0}) == [255, 254, 253, 0]  # white is zero
    assert levels([0, 255, 300], np.uint16) == [0, 1, 1]  # however dark


def test_twelve_bits_in_tiff() -> None:
    packed = bytes([0xFF, 0xF0, 0x00, 0x80, 0x00, 0x00])  # 4095, 0, 2048, 0
    data = tiff(np.zeros((1, 4), np.uint16), {258: 12, 279: 6}, packed)
    assert decode(data)[0, :, 0].tolist() == [255, 0, 128, 0]


def test_signed_and_wide_samples() -> None:
    assert levels([0, 16384, 32767], np.int16) == [0, 128, 255]
    assert levels([-1000, 0, 1000], np.int16) == [0, 128, 255]
    assert levels([0, 1, 200], np.int32) == [0, 1, 200]
    assert levels([0, 257, 65535], np.int32) == [0, 1, 255]
    assert levels([0, 50_000, 100_000], np.int32) == [0, 128, 255]
    assert levels([7, 7], np.int32) == [7, 7]
    assert levels([-7, -7], np.int32) == [0, 0]


def test_floats() -> None:
    assert levels([0, 0.25, 0.5], np.float32) == [0, 64, 128]
    assert levels([0, 1.5, 200], np.float32) == [0, 2, 200]
    assert levels([-1, 0, 1], np.float32) == [0, 128, 255]
    assert levels([0, 500, 1000], np.float32, {262: 0}) == [255, 128, 0]
    assert levels([np.nan, 0.5, np.inf, -np.inf], np.float32) == [0, 128, 255, 0]
    assert levels([np.nan, np.nan], np.float32) == [0, 0]


@pytest.mark.parametrize("greatest", [1, 100, 256, 1000, 4095, 65534])
def test_ppm_of_any_depth(greatest: int) -> None:
    kind = ">u2" if greatest > 255 else "u1"
    values = np.array([0, greatest, greatest // 2, 1, 0, greatest], kind)
    expected = np.round(values.astype(float) * 255 / greatest)
    grey = decode(b"P5 6 1 %d\n" % greatest + values.tobytes())
    assert abs(grey[0, :, 2] - expected).max() <= 0
    colour = decode(b"P6 2 1 %d\n" % greatest + values.tobytes())
    assert abs(colour[0].ravel() - expected).max() <= 0
    with pytest.raises(ImageError, match="not a readable PPM"):
        decode(b"P6 2 1 %d\n" % greatest + values.tobytes()[:-1])


def test_ppm_converted_in_bands() -> None:
    values = np.random.default_rng(0).integers(0, 4096, (1500, 701)).astype(">u2")
    pixels = decode(b"P5 701 1500 4095\n" + values.tobytes())
    np.testing.assert_array_equal(pixels[..., 1], np.floor(values * 255.0 / 4095 + 0.5))


def test_ppm_in_text() -> None:
    assert decode(b"P3 2 1 10\n0 5 10 10 # white\n10 10\n").tolist() == [[[0, 128, 255], [255, 255, 255]]]


def test_clear_colour_of_sixteen_bits() -> None:
    values = np.array([[0, 1000, 1001]], np.uint16)
    data = encode(Image.fromarray(values), "PNG")
    data = data[:33] + png_chunk(b"tRNS", struct.pack(">H", 1000)) + data[33:]
    assert decode(data)[0, :, 0].tolist() == [0, 255, 4]


@pytest.mark.parametrize("kind", ["BMP", "TGA"])
def test_a_fourth_byte_that_is_never_set(kind: str) -> None:
    image = Image.fromarray(PICTURE).convert("RGBA")
    data = bytearray(encode(image, kind))
    if kind == "BMP":  # 40 bytes of header say nothing of alpha: pillow looks at the masks of a longer one
        assert data[14] == 40
    image.putalpha(0)
    np.testing.assert_array_equal(decode(encode(image, kind)), PICTURE)
    assert (decode(encode(image, "PNG")) == 255).all()


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "AVIF", "MPO"])
def test_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (32, 16), colour) for colour in ("red", "blue", "green")]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:])
    pixels = decode(data)
    assert pixels.shape == (16, 32, 3)
    assert abs(pixels.astype(int) - (255, 0, 0)).max() <= 3


# What is refused


def test_empty() -> None:
    with pytest.raises(ImageError, match=r"^cat\.png: an empty file$"):
        decode(b"", where="cat.png")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"hello, world" * 10, "no image format that is read here.*JPEG, PNG.*; save it as JPEG or PNG"),
        (b"\0", "no image format"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1", "a HEIC photo, which is not read here"),
        (b"8BPS\x00\x01" + bytes(20), "a Photoshop document"),
        (b"%PDF-1.7 ...", "a PDF document"),
        (b"\n<!DOCTYPE html><html>", "a text such as HTML or SVG"),
        (b"\xff\x4f\xff\x51" + bytes(40), "a JPEG 2000 image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no image format"),
    ],
)
def test_other_formats_are_named(data: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message) as caught:
        decode(data, where="x")
    assert "\n" not in str(caught.value)


def test_formats_that_pillow_would_read_are_not() -> None:
    image = Image.fromarray(PICTURE)
    for kind in ("ICO", "JPEG2000", "PCX", "SGI", "EPS", "DDS", "ICNS", "QOI"):
        with pytest.raises(ImageError, match="read here"):
            decode(encode(image, kind))


def test_a_format_that_this_pillow_was_built_without(monkeypatch: pytest.MonkeyPatch) -> None:
    factory, _ = Image.OPEN["AVIF"]
    monkeypatch.setitem(Image.OPEN, "AVIF", (factory, lambda prefix: "no AVIF" if prefix[4:8] == b"ftyp" else False))
    with pytest.raises(ImageError, match="AVIF, which this build of pillow does not read"):
        decode(b"\0\0\0\x20ftypavif" + bytes(40))


@pytest.mark.parametrize("kind", [*FORMATS, "MPO"])
def test_cut_short(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    whole = encode(Image.fromarray(noise), kind)
    # The very end holds no pixels in some formats, and is not missed.
    for length in range(1, len(whole) - 30, len(whole) // 60):
        with pytest.raises(ImageError, match=r"^x: \S") as caught:
            decode(whole[:length], where="x")
        assert "\n" not in str(caught.value)


def test_strips_that_are_missing() -> None:
    rows = np.full((2, 5), 200, np.uint8)
    assert decode(tiff(rows)).shape == (2, 5, 3)
    with pytest.raises(ImageError, match="strips or tiles are missing"):
        decode(tiff(rows, {257: 20, 278: 2}))


def test_pixel_limit_is_checked_before_decoding() -> None:
    with pytest.raises(ImageError, match=r"^x: 3024×999999 pixels, over the limit of 50,331,648 for PNG; "):
        decode(png(3024, 999_999), where="x")
    data = encode(Image.new("L", (20, 10)), "PNG")
    assert decode(data, max_pixels=200).shape == (10, 20, 3)
    with pytest.raises(ImageError, match=r"20×10 pixels, over the limit of 199 for PNG"):
        decode(data, max_pixels=199)


def test_pixel_limit_may_be_raised_above_that_of_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert decode(encode(Image.new("L", (20, 10)), "PNG")).shape == (10, 20, 3)


@pytest.mark.parametrize("strategy", GifImagePlugin.LoadingStrategy)
@pytest.mark.parametrize("transparent", [False, True])
def test_a_gif_is_the_same_however_pillow_is_set(
    strategy: GifImagePlugin.LoadingStrategy, transparent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [Image.new("P", (5, 3), number) for number in (2, 1)]
    for frame in frames:
        frame.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
        frame.putpixel((1, 2), 3)
    options = {"transparency": 3, "disposal": 2} if transparent else {}
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:], **options)
    expected, indices = decode(data), decode_samples(data)
    monkeypatch.setattr(GifImagePlugin, "LOADING_STRATEGY", strategy)
    np.testing.assert_array_equal(decode(data), expected)
    np.testing.assert_array_equal(decode_samples(data), indices)
    assert indices.shape == (3, 5)
    assert expected[2, 1].tolist() == ([255] * 3 if transparent else [0, 0, 255])


def test_room_for_a_frame_is_made_only_within_our_own_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    monkeypatch.setattr(Image.core, "fill", lambda *_: pytest.fail("room was made"))
    control = b"!\xf9\4\x09\0\0\0\0"  # transparent, and disposed of
    frame = b"," + struct.pack("<HHHH", 0, 0, 65535, 65535) + b"\0\2\1\0\0;"
    data = b"GIF89a" + struct.pack("<HH", 4, 4) + b"\x80\0\0" + bytes(6) + control + frame
    with pytest.raises(ImageError, match="65535×65535 pixels, over the limit"):
        decode(data)


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (0, 0)])
def test_zero_side(size: tuple[int, int]) -> None:
    gif = b"GIF89a" + struct.pack("<HH", *size) + b"\0\0\0;"
    bmp = b"BM" + bytes(8) + struct.pack("<IIiiHHIIIIII", 54, 40, *size, 1, 24, 0, 0, 0, 0, 0, 0)
    for data in (png(*size), b"P6 %d %d 255\n" % size, gif, bmp):
        with pytest.raises(ImageError):
            decode(data)


@pytest.mark.parametrize(
    "error",
    [
        OSError("x"),
        SyntaxError("x"),
        ValueError(),
        struct.error("x"),
        EOFError(),
        OverflowError(),
        IndexError("x"),
        KeyError("x"),
        TypeError("x"),
        AttributeError("x"),
        AssertionError(),
        zlib.error("x"),
        RecursionError("x"),
        UserWarning("x"),
        Image.DecompressionBombError("x"),
    ],
)
def test_whatever_pillow_raises(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def factory(*_: object) -> ImageFile.ImageFile:
        raise error

    monkeypatch.setitem(Image.OPEN, "PNG", (factory, Image.OPEN["PNG"][1]))
    with pytest.raises(ImageError, match=r"^not a readable PNG image \(\S+\)$") as caught:
        decode(png(1, 1))
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_interruptions_pass(monkeypatch: pytest.MonkeyPatch, error: type[BaseException]) -> None:
    def factory(*_: object) -> ImageFile.ImageFile:
        raise error

    monkeypatch.setitem(Image.OPEN, "PNG", (factory, Image.OPEN["PNG"][1]))
    with pytest.raises(error):
        decode(png(1, 1))


def test_memory_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def factory(*_: object) -> ImageFile.ImageFile:
        raise MemoryError

    monkeypatch.setitem(Image.OPEN, "PNG", (factory, Image.OPEN["PNG"][1]))
    with pytest.raises(ImageError, match="not enough memory"):
        decode(png(1, 1))


# Files


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "птица.png"
    Image.fromarray(PICTURE).save(path)
    np.testing.assert_array_equal(read_image(path), PICTURE)
    assert read_file(path) == path.read_bytes()
    with pytest.raises(ImageError, match=r"птица\.png: 3×2 pixels, over the limit of 5 for PNG"):
        read_image(path, max_pixels=5)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"absent\.png: cannot be read \(No such file or directory\)"):
        read_image(tmp_path / "absent.png")
    with pytest.raises(ImageError, match="a folder, not an image"):
        read_image(tmp_path)
    with pytest.raises(ImageError, match="cannot be read"):
        read_image(Path("a\0b.png"))
    (tmp_path / "empty.png").touch()
    with pytest.raises(ImageError, match=r"empty\.png: an empty file"):
        read_image(tmp_path / "empty.png")


def test_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(ImageError, match=r"huge\.png: 134,217,729 bytes, over the limit of 134,217,728"):
        read_image(path)
    with pytest.raises(ImageError, match="134,217,729 bytes"):
        decode(bytes(MAX_BYTES + 1))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in this system's folders")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="not a regular file"):
        read_image(tmp_path / "pipe.png")


def test_suffixes() -> None:
    Image.init()
    for suffix in IMAGE_SUFFIXES:
        assert suffix == suffix.lower()
        assert Image.registered_extensions()[suffix] in {*FORMATS, "MPO"}
    assert {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".gif", ".bmp"} <= IMAGE_SUFFIXES


def test_error_survives_a_process_boundary() -> None:
    with pytest.raises(ImageError) as caught:
        decode(b"", where="cat.png")
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301
    assert type(copy) is ImageError
    assert str(copy) == "cat.png: an empty file"


# What it may cost


def with_scans(image: Image.Image, count: int) -> bytes:
    """A progressive JPEG whose last scan is repeated until there are so many."""
    data = encode(image, "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * (count - data.count(b"\xff\xda")) + data[-2:]


def deflated_tile(side: int) -> bytes:
    tags = {259: 8, 322: side, 323: side, 324: 8}
    return tiff(np.zeros((16, 16), np.uint8), tags, zlib.compress(bytes(2**20)))


def many_strips(count: int) -> bytes:
    data = bytearray(tiff(np.zeros((1, 1), np.uint8), {257: count, 278: 1}, bytes(8 * count)))
    start = 8 + 8 * count + 2
    for entry in range(start, len(data) - 4, 12):
        if struct.unpack_from("<H", data, entry)[0] in (273, 279):
            struct.pack_into("<I", data, entry + 4, count)
            struct.pack_into("<I", data, entry + 8, 8)
    return bytes(data)


JPEG = encode(Image.new("RGB", (8, 8)), "JPEG")
ATTACKS: dict[str, tuple[Callable[[], bytes], str]] = {
    "scans": (lambda: with_scans(Image.new("L", (5000, 5000)), 200), "too many scans"),
    "tile": (lambda: deflated_tile(2**15), "tiles of more than"),
    "strips": (lambda: many_strips(2_000_000), "over 65,536 strips"),
    "EXIF segments": (lambda: JPEG[:2] + b"\xff\xe1\0\x0aExif\0\0XX" * 500_000 + JPEG[2:], "over 64 EXIF"),
    "comments": (lambda: JPEG[:2] + b"\xff\xfe\0\x02" * 500_000 + JPEG[2:], "too many small parts"),
    "chunks": (lambda: png(4, 4, png_chunk(b"abCd", b"") * 150_000), "too many small parts"),
    "blocks": (lambda: b"GIF89a\4\0\4\0\0\0\0" + b"\x21\xfe\1a\0" * 1_000_000, "too many small parts"),
    "PPM comments": (lambda: b"P6\n" + b"#\n" * 300_000 + b"1 1 255\nabc", "too many small parts"),
    "PPM text": (lambda: b"P3 2000 2000 255\n" + b"1 " * 12_000_000, "for PPM in text"),
    "text": (lambda: png(4, 4, png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(2**22)))), "too large"),
    "progressive": (lambda: with_scans(Image.new("L", (6000, 6000)), 6), "progressive"),
    "WEBP": (lambda: b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\x3f\0" * 2 + bytes(8), "WEBP"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_are_refused_in_time(name: str) -> None:
    make, message = ATTACKS[name]
    data = make()
    start = time.process_time()
    with pytest.raises(ImageError, match=message):
        decode(data)
    assert time.process_time() - start < 2


def test_what_is_just_bearable_is_not_refused() -> None:
    assert decode(with_scans(Image.new("L", (64, 64)), 200)).shape == (64, 64, 3)
    assert decode(many_strips(2000)).shape == (2000, 1, 3)
    assert decode(JPEG[:2] + b"\xff\xe1\0\x0aExif\0\0XX" * 10 + JPEG[2:]).shape == (8, 8, 3)
    assert decode(JPEG[:2] + b"\xff\xfe\0\x02" * 10_000 + JPEG[2:]).shape == (8, 8, 3)


def test_a_column_of_pixels_takes_no_time() -> None:
    start = time.process_time()
    assert decode(b"P5 1 2000000 100\n" + bytes(2_000_000)).shape == (2_000_000, 1, 3)
    assert decode(encode(Image.new("L", (1, 2_000_000)), "PNG", compress_level=1)).shape == (2_000_000, 1, 3)
    assert time.process_time() - start < 2


def largest(kind: str, part: float, **options: object) -> bytes:
    height = int(MAX_PIXELS / part) // 4096
    return encode(Image.new("RGBA" if kind != "JPEG" else "RGB", (4096, height), (9, 99, 199)), kind, **options)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak from /proc")
@pytest.mark.parametrize(
    ("kind", "part", "options"),
    [
        ("WEBP", 2, {"lossless": True, "method": 0, "quality": 0}),
        ("JPEG", 1.5, {"progressive": True, "subsampling": 0}),
    ],
)
def test_memory_and_time_at_the_limit(tmp_path: Path, kind: str, part: float, options: dict[str, object]) -> None:
    path = tmp_path / "largest"
    path.write_bytes(largest(kind, part, **options))
    script = """
import pathlib, re, sys, time
from svertka.runtime.image import read_image
def peak(): return int(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]) / 1024
before, start = peak(), time.process_time()
read_image(pathlib.Path(sys.argv[1]))
print(peak() - before, time.process_time() - start)
"""
    result = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    megabytes, seconds = map(float, result.stdout.split())
    assert 100 < megabytes < 512
    assert seconds < 4  # 2 on a machine that does nothing else


# Warnings, threads, and what belongs to the process


def odd_tags() -> bytes:
    """A picture that makes pillow warn."""
    damaged = exif(6)[:-20]
    return encode(Image.fromarray(PICTURE), "PNG", exif=damaged)


def test_pillow_does_warn_of_the_odd_picture() -> None:
    with pytest.warns(UserWarning, match="Truncated"):
        Image.open(io.BytesIO(odd_tags())).getexif()


@pytest.mark.parametrize("action", ["error", "always", "default"])
def test_warnings_are_dropped_whatever_the_filters(action: str, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter(action)
        decode(odd_tags())
        assert not caught
    assert capfd.readouterr() == ("", "")


def test_only_warnings_of_the_decoding_thread_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    decoding, done = threading.Event(), threading.Event()
    factory, accept = Image.OPEN["PNG"]

    def slow(*arguments: object) -> ImageFile.ImageFile:
        decoding.set()
        assert done.wait(10)
        warnings.warn("of the decoder", stacklevel=1)
        return factory(*arguments)

    monkeypatch.setitem(Image.OPEN, "PNG", (slow, accept))
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(decode, encode(Image.fromarray(PICTURE), "PNG"))
        assert decoding.wait(10)
        with pytest.raises(UserWarning, match="ours"):
            warnings.warn("ours", stacklevel=1)
        done.set()
        assert result.result().shape == PICTURE.shape
    with pytest.raises(UserWarning, match="ours"):
        warnings.warn("ours", stacklevel=1)


def test_filters_do_not_pile_up() -> None:
    with warnings.catch_warnings():
        decode(odd_tags())
        count = len(warnings.filters)
        for _ in range(5):
            warnings.simplefilter("error")
            decode(odd_tags())
        assert len(warnings.filters) <= count + 1
        pickle.dumps(warnings.filters)  # as joblib does to hand them to its workers


def test_pillow_is_left_as_it_was() -> None:
    before = ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS
    decode(odd_tags())
    assert before == (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS)
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_threads() -> None:
    files = [encode(photo(200 + size, 150), kind) for size in range(4) for kind in FORMATS] + [odd_tags()] * 8
    alone = [decode(data) for data in files]
    with ThreadPoolExecutor(8) as pool:
        for together, expected in zip(pool.map(decode, files * 3), alone * 3, strict=True):
            np.testing.assert_array_equal(together, expected)


# Real files

REFUSED = {".ico": "an icon", ".psd": "a Photoshop document", ".jp2": "a JPEG 2000 image"}


def files(folder: Path) -> list[Path]:
    found = sorted(folder.iterdir())
    assert found
    return found


def test_odd_images(shared_data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    count = 0
    for path in files(shared_data / "odd-images/loads"):
        start = time.process_time()
        if path.suffix in REFUSED:
            with pytest.raises(ImageError, match=REFUSED[path.suffix]):
                read_image(path)
            continue
        pixels = read_image(path)
        assert time.process_time() - start < 2, path.name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                width, height = image.size
                turned = image.format != "TIFF" and image.getexif().get(274, 1) >= 5
        assert pixels.shape == ((width, height, 3) if turned else (height, width, 3)), path.name
        assert pixels.dtype == np.uint8
        assert pixels.flags.c_contiguous
        count += 1
    assert count > 150
    assert capfd.readouterr() == ("", "")


def test_broken_images(shared_data: Path) -> None:
    for path in files(shared_data / "odd-images/fails"):
        start = time.process_time()
        with pytest.raises(ImageError) as caught:
            read_image(path)
        assert time.process_time() - start < 2, path.name
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)
        assert "object at 0x" not in str(caught.value)


def difference(one: Pixels, other: Pixels) -> float:
    return float(abs(one.astype(float) - other).mean())


def test_portraits_of_one_person_look_alike(shared_data: Path) -> None:
    folder = shared_data / "odd-images/loads"
    reference = read_image(folder / "hopper.ppm")
    grey = np.dstack([np.asarray(Image.fromarray(reference).convert("L"))] * 3)
    bounds = {"hopper_g4.tif": 90, "hopper2.tif": 40, "hopper2I.tif": 40}  # of one and two bits
    elsewhere = {"hopper_bad_exif.jpg", "hopper_rle8_grayscale.bmp"}
    compared = 0
    for path in files(folder):
        if path.name in elsewhere or path.suffix in REFUSED:
            continue
        if path.name.startswith("hopper") or path.name == "8bit.s.tif":
            pixels = read_image(path)
            is_grey = (pixels == pixels[..., :1]).all()
            assert difference(pixels, grey if is_grey else reference) < bounds.get(path.name, 9), path.name
            compared += 1
    assert compared > 35


@pytest.mark.parametrize(("pattern", "count"), [("rot?mir?.avif", 8), ("g4_orientation_?.tif", 4)])
def test_one_scene_in_all_orientations(shared_data: Path, pattern: str, count: int) -> None:
    images = [read_image(path) for path in sorted((shared_data / "odd-images/loads").glob(pattern))]
    assert len(images) == count
    for image in images[1:]:
        assert difference(image, images[0]) < 12  # the captions differ


def test_cmyk_is_not_inverted(shared_data: Path) -> None:
    folder = shared_data / "odd-images/loads"
    names = [
        "pil_sample_cmyk.jpg",
        "tiff_strip_cmyk_jpeg.tif",
        "tiff_tiled_cmyk_jpeg.tif",
        "tiff_strip_cmyk_16l_jpeg.tif",
    ]
    for name in names:
        pixels = read_image(folder / name)
        assert pixels[50, 2].max() < 40, name  # black ground
        assert (pixels[..., 0] > 200).any(), name  # red letters
        assert (pixels[..., 1:] < 110).all(), name


@pytest.mark.parametrize("aspect", ["Landscape", "Portrait"])
def test_exif_orientations(shared_data: Path, aspect: str) -> None:
    images = [read_image(shared_data / f"exif-orientation/{aspect}_{tag}.jpg") for tag in range(9)]
    height, width = (1200, 1800) if aspect == "Landscape" else (1800, 1200)
    small = []
    for image in images:
        assert image.shape == (height, width, 3)
        small.append(np.asarray(Image.fromarray(image).resize((60, 60))))
    for other in small[1:]:
        assert difference(other, small[1]) < 6  # each has its number written in the middle
