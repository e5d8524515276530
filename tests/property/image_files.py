"""Small image files of every format that is read, in which something happens, for tests and the soak to mutate."""

from __future__ import annotations

import io
import zlib
from functools import cache

import numpy as np
from PIL import Image

PNG_SIGNATURE = 8  # bytes

FILES: dict[str, tuple[str, str, dict[str, object]]] = {
    "JPEG": ("RGB", "JPEG", {}),
    "JPEG, progressive": (
        "RGB",
        "JPEG",
        {"progressive": True, "exif": b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6"},
    ),
    "JPEG, CMYK": ("CMYK", "JPEG", {}),
    "MPO": ("RGB", "MPO", {"save_all": True, "append_images": [Image.new("RGB", (8, 8))]}),
    "PNG": ("RGB", "PNG", {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\5\0\0\0\0\0\0"}),
    "PNG, palette": ("P", "PNG", {"transparency": 3}),
    "PNG, 16-bit": ("I;16", "PNG", {}),
    "PNG, animated": ("RGBA", "PNG", {"save_all": True, "append_images": [Image.new("RGBA", (24, 16))]}),
    "GIF": ("P", "GIF", {"save_all": True, "append_images": [Image.new("P", (24, 16))], "transparency": 3}),
    "BMP": ("RGB", "BMP", {}),
    "BMP, palette": ("P", "BMP", {}),
    "BMP, bits": ("1", "BMP", {}),
    "TIFF": ("RGB", "TIFF", {"tiffinfo": {274: 6}}),
    "TIFF, LZW": ("RGBA", "TIFF", {"compression": "tiff_lzw"}),
    "TIFF, deflate": ("I;16", "TIFF", {"compression": "tiff_adobe_deflate"}),
    "TIFF, JPEG": ("YCbCr", "TIFF", {"compression": "jpeg"}),
    "TIFF, fax": ("1", "TIFF", {"compression": "group4"}),
    "TIFF, floats": ("F", "TIFF", {}),
    "TIFF, LAB": ("LAB", "TIFF", {}),
    "BigTIFF": ("CMYK", "TIFF", {"big_tiff": True}),
    "WEBP": ("RGB", "WEBP", {"method": 0}),
    "WEBP, lossless": ("RGBA", "WEBP", {"lossless": True, "method": 0}),
    "WEBP, animated": ("RGB", "WEBP", {"save_all": True, "append_images": [Image.new("RGB", (24, 16))]}),
    "AVIF": ("RGBA", "AVIF", {"speed": 10}),
    "PPM": ("RGB", "PPM", {}),
    "PGM, 16-bit": ("I;16", "PPM", {}),
    "PBM": ("1", "PPM", {}),
    "PFM": ("F", "PPM", {}),
    "TGA": ("RGBA", "TGA", {}),
    "TGA, runs": ("P", "TGA", {"compression": "tga_rle"}),
}
TEXTS = {
    "PPM, text": b"P3 3 2 255\n# plain\n" + b"1 20 255 " * 6,
    "PGM, odd depth": b"P5 4 4 1000\n" + bytes(range(32)),
}


@cache
def whole(name: str) -> bytes:
    """A small image file in which something happens."""
    if name in TEXTS:
        return TEXTS[name]
    mode, kind, options = FILES[name]
    y, x = np.mgrid[:16, :24]
    pixels = np.stack([x * 10, y * 15, (x * y * 7) % 256], -1).astype(np.uint8)
    image = Image.fromarray(pixels)
    if mode == "I;16":
        image = Image.fromarray(pixels[..., 2].astype(np.uint16) * 200)
    elif mode == "F":
        image = Image.fromarray(pixels[..., 2].astype(np.float32) - 9)
    file = io.BytesIO()
    image.convert(mode).save(file, kind, **options)
    return file.getvalue()


def with_checksums(data: bytes) -> bytes:
    """A PNG file whose chunks have the right checksums, without which nothing else in them is looked at."""
    fixed, at = data[:PNG_SIGNATURE], PNG_SIGNATURE
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4])
        fixed += data[at:end] + zlib.crc32(data[at + 4 : end]).to_bytes(4)
        at = end + 4
    return fixed
