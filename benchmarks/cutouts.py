"""A set of masks from real photographs: hands cut out of one kind and laid over others.

    python benchmarks/cutouts.py --objects SIGN_DIGITS --photographs FOLDER … --out DATA

SIGN_DIGITS has a folder of JPEGs for each of ten signs, hands before a bare wall. Those of the signs 0, 1 and 5 are cut
out by their colour, turned, resized and laid, one to three of them, over pieces of the photographs. DATA gets
images/train, images/test, masks/train, masks/test and legend.json: 300 and 100 images of 192 × 192, four classes. What
is in the test part, hands and photographs, is of other files than what is in the training part: of each sign the first
three fifths of the files by number against the last fifth, since neighbours show the same person; of the photographs
four fifths against the others.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy import ndimage

SIDE = 192
COUNTS = {"train": 300, "test": 100}
SIGNS = {"0": "zero", "1": "one", "5": "five"}
_HAND = 128  # pixels: the longer side of a photograph of a hand
_SUFFIXES = {".jpg", ".jpeg", ".png"}
_HOLE = 0.01  # of the hand: smaller holes are shine, larger ones lie between fingers


def cut_out(path: Path) -> Image.Image | None:
    """A hand as RGBA, cut to its size; None where it does not stand out from the wall."""
    picture = Image.open(path).convert("RGB")
    picture.thumbnail((_HAND, _HAND))
    pixels = np.asarray(picture, np.float64)
    # The wall is grey and unevenly lit; a hand has colour. Below, the arm comes in.
    border = np.concatenate([pixels[0], pixels[:, 0], pixels[:, -1]])
    distance = np.linalg.norm(_chroma(pixels) - _chroma(np.median(border, axis=0)), axis=-1)
    pieces, count = ndimage.label(distance > _otsu(distance))
    if not count:
        return None
    sizes = np.bincount(pieces.ravel())[1:]
    hand = ndimage.binary_opening(pieces == 1 + sizes.argmax())
    holes, _ = ndimage.label(~hand)
    small = np.bincount(holes.ravel()) < _HOLE * hand.sum()
    hand |= small[holes] & (holes > 0)
    if not 0.05 < hand.mean() < 0.6:
        return None
    picture.putalpha(Image.fromarray(np.where(hand, 255, 0).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.7)))
    return picture.crop(picture.getchannel("A").getbbox())


def make(objects: Path, photographs: Sequence[Path], out: Path, seed: int = 0) -> None:
    """Write the set."""
    rng = np.random.default_rng(seed)
    grounds = sorted(path for folder in photographs for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not grounds:
        raise SystemExit("no photographs to lay hands over")
    for part, count in COUNTS.items():
        hands = {}
        for sign in SIGNS:
            files = sorted((objects / sign).iterdir(), key=lambda path: int(path.stem.rpartition("_")[2]))
            chosen = files[: 3 * len(files) // 5] if part == "train" else files[-(len(files) // 5) :]
            hands[sign] = [hand for hand in map(cut_out, chosen) if hand is not None]
        behind = [path for number, path in enumerate(grounds) if (number % 5 == 0) == (part == "test")]
        for folder in ("images", "masks"):
            (out / folder / part).mkdir(parents=True)
        for number in range(count):
            image, mask = compose(behind[int(rng.integers(len(behind)))], hands, rng)
            image.save(out / "images" / part / f"{number}.jpg", quality=92)
            mask.save(out / "masks" / part / f"{number}.png")
    (out / "legend.json").write_text(json.dumps(["background", *SIGNS.values()]))


def compose(
    ground: Path, hands: dict[str, list[Image.Image]], rng: np.random.Generator
) -> tuple[Image.Image, Image.Image]:
    """One image and its mask of class numbers."""
    picture = Image.open(ground).convert("RGB")
    side = int(rng.integers(min(SIDE, *picture.size), min(picture.size) + 1))
    left, top = (int(rng.integers(0, length - side + 1)) for length in picture.size)
    image = picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    mask = Image.new("L", (SIDE, SIDE))
    for _ in range(int(rng.integers(1, 4))):
        number = int(rng.integers(len(SIGNS)))
        choice = hands[list(SIGNS)[number]]
        hand = choice[int(rng.integers(len(choice)))]
        scale = float(rng.uniform(0.6, 1.2))
        hand = hand.resize((max(8, int(hand.width * scale)), max(8, int(hand.height * scale))))
        hand = hand.rotate(float(rng.uniform(-60, 60)), Image.Resampling.BILINEAR, expand=True)
        place = int(rng.integers(-hand.width // 4, SIDE - 3 * hand.width // 4)), int(rng.integers(-8, SIDE // 2))
        image.paste(hand, place, hand)
        mask.paste(number + 1, place, hand.getchannel("A").point(lambda value: 255 * (value > 127)))
    return image, mask


def _chroma(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(pixels / (pixels.sum(axis=-1, keepdims=True) + 30))


def _otsu(values: NDArray[np.float64]) -> float:
    """The threshold that leaves the greatest variance between what is below and above (Otsu, 1979)."""
    counts, edges = np.histogram(values, 64)
    share = counts / counts.sum()
    below, moment = share.cumsum(), (share * edges[:-1]).cumsum()
    between = (moment[-1] * below - moment) ** 2 / np.maximum(below * (1 - below), 1e-9)
    return float(edges[between.argmax() + 1])


def main() -> None:
    """Write the set that is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--objects", type=Path, required=True)
    parser.add_argument("--photographs", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    make(given.objects, given.photographs, given.out)


if __name__ == "__main__":
    main()
