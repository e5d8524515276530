"""Data sets with a fault planted in each, and healthy ones, to measure what `svertka check` finds and where it is
silent. Images are drawn: smooth patches of colour under a texture, no two alike."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from svertka.annotations import Annotation, Box, Boxes, Mask
from svertka.commands.check.suspects import suspects
from svertka.data.checks.checking import findings
from svertka.data.checks.findings import Finding
from svertka.data.checks.survey import Survey, survey
from svertka.data.readers.reading import open_dataset
from svertka.data.samples import Dataset, ImageFile, Sample, flat
from svertka.data.splitting.grouping import groups_of
from svertka.errors import UserError
from svertka.workflows.progress import Display

SIDE = 96
PER_CLASS = 40
NAMES = ("cat", "dog", "fox")


def picture(*seed: int) -> Image.Image:
    """An image that depends on the seed alone."""
    generator = np.random.default_rng(seed)
    coarse = Image.fromarray(generator.integers(20, 236, (7, 7, 3), np.uint8)).resize(
        (SIDE, SIDE), Image.Resampling.BICUBIC
    )
    fine = Image.fromarray(generator.integers(0, 256, (24, 24, 3), np.uint8)).resize(
        (SIDE, SIDE), Image.Resampling.BICUBIC
    )
    return Image.blend(coarse, fine, 0.3)


def folders(root: Path, seed: int, *, parts: Sequence[str] = ("",), per_class: int = PER_CLASS) -> Path:
    """Class folders with images; the names of files say nothing."""
    for number, part in enumerate(parts):
        for label, name in enumerate(NAMES):
            (root / part / name).mkdir(parents=True)
            order = np.random.default_rng([seed, number, label]).permutation(per_class)
            for place, file in enumerate(order.tolist()):
                picture(seed, number, label, place).save(root / part / name / f"{file:04d}.jpg", quality=90)
    return root


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    """The image as it comes back from a JPEG file."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(io.BytesIO(file.getvalue())).convert("RGB")


def resized(image: Image.Image, factor: float) -> Image.Image:
    """The image larger or smaller."""
    width, height = (max(1, round(side * factor)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC)


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "recompressed, quality 30": lambda image: jpeg(image, 30),
    "recompressed, quality 60": lambda image: jpeg(image, 60),
    "half the size": lambda image: resized(image, 0.5),
    "half as large again": lambda image: resized(image, 1.5),
    "brightness 0.6": lambda image: ImageEnhance.Brightness(image).enhance(0.6),
    "brightness 1.3": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "contrast 0.6": lambda image: ImageEnhance.Contrast(image).enhance(0.6),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "negative": lambda image: Image.fromarray(255 - np.asarray(image)),
    "mirrored, half the size, quality 50": lambda image: jpeg(
        resized(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 0.5), 50
    ),
}
"""Ways to make a near duplicate."""


@dataclass(frozen=True)
class Numbers:
    """A mask held in memory."""

    values: NDArray[np.uint8]

    def load(self) -> NDArray[np.uint8]:
        return self.values

    def digest(self) -> str:
        return self.values.tobytes().hex()


def images(root: Path) -> list[Path]:
    """All image files, in order."""
    return sorted(root.rglob("*.jpg"))


def of_folder(root: Path) -> Survey:
    """What is seen of a folder."""
    return survey(open_dataset(root))


def annotated(root: Path, seed: int, annotate: Callable[[int], Annotation], count: int = 12) -> Survey:
    """Images with an annotation that depends on their number."""
    root.mkdir(parents=True, exist_ok=True)
    samples = []
    for number in range(count):
        path = root / f"{number:03d}.jpg"
        picture(seed, number).save(path)
        samples.append(Sample(path.name, ImageFile(path), annotate(number)))
    return survey(Dataset(root, "boxes", {"all": samples}))


def box(seed: int, number: int) -> Box:
    """A box that is as it should be."""
    left, top = np.random.default_rng([seed, number]).integers(5, 40, 2).tolist()
    return Box(NAMES[number % 3], left, top, left + 30, top + 25)


def _boxes(odd: Callable[[int], Box], size: tuple[int, int] | None = None) -> Callable[[Path, int], Survey]:
    def planted(root: Path, seed: int) -> Survey:
        def annotate(number: int) -> Boxes:
            boxes = (box(seed, number), box(seed, number + 100))
            return Boxes((*boxes, odd(seed)), size) if number == seed else Boxes(boxes)

        return annotated(root, seed, annotate)

    return planted


def _mask(odd: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> Callable[[Path, int], Survey]:
    def planted(root: Path, seed: int) -> Survey:
        def annotate(number: int) -> Mask:
            values = np.zeros((SIDE, SIDE), np.uint8)
            values[20:60, 10 + number : 50] = 1
            values[70:80] = 2
            return Mask(Numbers(odd(values) if number == seed else values), NAMES)

        return annotated(root, seed, annotate)

    return planted


def _written(change: Callable[[Path, int], object], **how: Sequence[str]) -> Callable[[Path, int], Survey]:
    def planted(root: Path, seed: int) -> Survey:
        change(folders(root, seed, **how), seed)  # type: ignore[arg-type]
        return of_folder(root)

    return planted


def _cut(root: Path, seed: int) -> None:
    file = images(root)[seed]
    file.write_bytes(file.read_bytes()[: 400 + 100 * seed])


def _copy_exactly(root: Path, seed: int) -> None:
    file = images(root)[7 * seed]
    file.with_name("copy.jpg").write_bytes(file.read_bytes())


def _copy_across(root: Path, seed: int) -> None:
    file = images(root / "train")[7 * seed]
    (root / "test" / file.parent.name / "copy.jpg").write_bytes(file.read_bytes())


def _contradict(root: Path, seed: int) -> None:
    file = images(root / NAMES[seed % 3])[seed]
    (root / NAMES[(seed + 1) % 3] / "copy.jpg").write_bytes(file.read_bytes())


def _nearly(root: Path, seed: int, where: Callable[[Path], Path] = lambda file: file) -> None:
    file = images(root)[7 * seed]
    copied = list(COPIES.values())[2 * seed](Image.open(file).convert("RGB"))
    copied.save(where(file).with_name("copy.png"))


def _nearly_across(root: Path, seed: int) -> None:
    _nearly(root / "train", seed, lambda file: root / "test" / file.parent.name / file.name)


def _nearly_contradict(root: Path, seed: int) -> None:
    def elsewhere(file: Path) -> Path:
        return root / NAMES[(NAMES.index(file.parent.name) + 1) % 3] / file.name

    _nearly(root, seed, elsewhere)


def _keep(root: Path, count: int) -> None:
    for file in images(root / NAMES[0])[count:]:
        file.unlink()


def _part_without_class(root: Path, seed: int) -> None:
    part, name = ("train", "test")[seed % 2], NAMES[seed % 3]
    for file in images(root / part / name):
        file.unlink()


_SPELLINGS = ("Cat", "cat_", "c-at", "\u0441at", "CAT")  # the fourth begins with a Cyrillic letter


def _spell(root: Path, seed: int) -> None:
    (root / _SPELLINGS[seed]).mkdir()
    for number in range(8):
        picture(seed, 99, number).save(root / _SPELLINGS[seed] / f"{number}.jpg")


def _sequence(root: Path, seed: int, parts: Sequence[str] = ("",)) -> Survey:
    """Pictures of persons before their own wall: numbered as they were taken, a label after another."""
    generator = np.random.default_rng(seed)
    number = 1000
    for person in range(30):
        wall, light = picture(seed, person, 7), 0.8 + 0.4 * generator.random()
        for label, name in enumerate(NAMES * 2):
            shown = Image.blend(wall, picture(seed, person, label, 8), 0.35)
            part = parts[int(generator.integers(len(parts)))]
            folder = root / part / name
            folder.mkdir(parents=True, exist_ok=True)
            ImageEnhance.Brightness(shown).enhance(light).save(folder / f"IMG_{number}.jpg", quality=88)
            number += 1
    return of_folder(root)


def _groups(root: Path, seed: int, *, leak: bool) -> Survey:
    rows = []
    folder = root / "images"
    folder.mkdir(parents=True)
    for number in range(60):
        person = number % 12
        part = "test" if person < 3 else "train"
        if leak and number == 12 + seed:
            part = "train" if part == "test" else "test"
        name = f"images/person{person:02d}_{number}.jpg"
        picture(seed, number).save(root / name)
        rows.append((name, NAMES[number % 3], part))
    with (root / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "label", "split"), *rows])
    dataset = open_dataset(root / "list.csv")
    return survey(dataset, groups=groups_of(dataset, flat(dataset)[1], r"(person\d+)_"))


def _table(root: Path, seed: int) -> Survey:
    folders(root, seed)
    rows = [(file.relative_to(root).as_posix(), file.parent.name) for file in images(root)]
    with (root / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "label"), *rows, (f"cat/missing{seed}.jpg", "cat")])
    return of_folder(root / "list.csv")


def _stated(root: Path, seed: int) -> Survey:
    folders(root, seed)
    rows = [(file.relative_to(root).as_posix(), file.parent.name, "") for file in images(root)]
    rows[seed] = *rows[seed][:2], ("wet", "0", "2024", "x;y", "[1, 2]")[seed]
    with (root / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "label", "weather"), *rows])
    return of_folder(root / "list.csv")


def _class_list(root: Path, seed: int) -> Survey:
    folders(root, seed)
    names = [*NAMES]
    names.insert(seed % 4, f"ox {seed}")
    (root / "classes.txt").write_text("\n".join(names))
    return of_folder(root)


def _unlisted(root: Path, seed: int) -> Survey:
    folders(root, seed)
    rows = [(file.relative_to(root).as_posix(), file.parent.name) for file in images(root)]
    del rows[seed]
    with (root / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "label"), *rows])
    return of_folder(root / "list.csv")


def _odd_split(root: Path, seed: int) -> Survey:
    folders(root, seed, parts=("train", "test"), per_class=12)
    name = ("holdout", "Train2", "validation_set", "eval", "test-old")[seed]
    folders(root / name, seed + 50, per_class=3)
    return of_folder(root)


def _png_called_jpeg(root: Path, seed: int) -> None:
    file = images(root)[seed]
    picture(seed, 5).save(file, format=("PNG", "BMP", "GIF", "WEBP", "TIFF")[seed])


def _saved_as(mode: str) -> Callable[[Path, int], None]:
    def change(root: Path, seed: int) -> None:
        picture(seed, 5).convert(mode).save(images(root)[seed].with_suffix(".png" if mode != "CMYK" else ".tif"))

    return change


def _odd_mode(root: Path, seed: int) -> None:
    _saved_as(("CMYK", "RGBA", "LA", "I;16", "CMYK")[seed] if seed != 3 else "RGBA")(root, seed)


def _turned(root: Path, seed: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = (3, 6, 8, 2, 5)[seed]
    picture(seed, 5).save(images(root)[seed], exif=exif)


def _sized(root: Path, seed: int) -> None:
    side = (1200, 900, 8, 12, 700)[seed]
    picture(seed, 5).resize((side, side)).save(images(root)[seed])


def _oversized(root: Path, seed: int) -> None:
    # A header that tells of far too many pixels, in a small file.
    Image.new("1", (9000 + seed, 9000)).save(images(root)[seed].with_suffix(".png"))


_UNUSABLE = (
    ("{}", "", ""),
    ("", "cat", ""),
    ("../{}", "cat", ""),
    ("{}", "cat", "holdout"),
    ("{}\0", "cat", "train"),
)


def _unusable(root: Path, seed: int) -> Survey:
    folders(root, seed)
    names = [(file.relative_to(root).as_posix(), file.parent.name) for file in images(root)]
    rows = [(name, label, "") for name, label in names]
    rows[seed] = tuple(cell.format(names[seed][0]) for cell in _UNUSABLE[seed])  # type: ignore[assignment]
    with (root / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "label", "split"), *rows])
    return of_folder(root / "list.csv")


def _mask_files(root: Path, seed: int, *, broken: bool) -> Survey:
    for number in range(8):
        values = np.zeros((SIDE, SIDE), np.uint8)
        values[20 : 60 + number, 10:50] = 255
        for folder, image in (("images", picture(seed, number)), ("masks", Image.fromarray(values))):
            (root / folder).mkdir(parents=True, exist_ok=True)
            image.save(root / folder / f"{number}.png")
    if broken:
        file = root / "masks" / f"{seed}.png"
        data = file.read_bytes()
        file.write_bytes((b"", data[: len(data) // 2], b"<html>", data[:20], b"\0" * 300)[seed])
    return of_folder(root)


def _unnamed(root: Path, seed: int) -> Survey:
    def annotate(number: int) -> Boxes:
        return Boxes(() if number == seed else (box(seed, number),))

    return annotated(root, seed, annotate)


def _absent_class(root: Path, seed: int) -> Survey:
    def annotate(number: int) -> Mask:
        values = np.zeros((SIDE, SIDE), np.uint8)
        values[20:60, 10 + number : 50] = 1 + seed % 2  # the other of the two is in no mask
        return Mask(Numbers(values), NAMES)

    return annotated(root, seed, annotate)


def learnable(root: Path, seed: int, wrong: int = 0) -> Survey:
    """Class folders whose images show their class: each has a tint. So many of them lie in the folder of another."""
    for label, name in enumerate(NAMES):
        (root / name).mkdir(parents=True)
        tint = 90.0 * np.eye(3)[label] - 30
        for number in range(PER_CLASS):
            shown = np.clip(np.asarray(picture(seed, label, number)) + tint, 0, 255).astype(np.uint8)
            Image.fromarray(shown).save(root / name / f"{number:04d}.jpg", quality=90)
    for number in range(wrong):
        said, right = NAMES[number % 3], NAMES[(number + 1 + seed % 2) % 3]
        (root / right / f"{seed + number:04d}.jpg").rename(root / said / f"wrong{number}.jpg")
    return of_folder(root)


def findings_of(kind: str, seen: Survey) -> list[Finding]:
    """What is found where a fault of this kind was planted; labels are learnt only where they are asked for."""
    return all_findings(seen) if kind == "suspicious_labels" else findings(seen)


def all_findings(seen: Survey) -> list[Finding]:
    """What ``svertka check --labels`` finds, by gradients and colours; without wrong labels where these cannot be
    looked for."""
    found = findings(seen)
    with suppress(UserError):
        found += suspects(seen, Display(show=False), frozen=False)
    return found


PLANTED: dict[str, Callable[[Path, int], Survey]] = {
    "empty_files": _written(lambda root, seed: images(root)[seed].write_bytes(b"")),
    "truncated_files": _written(_cut),
    "unreadable_files": _written(lambda root, seed: images(root)[seed].write_bytes(b"<html>" * (seed + 1))),
    "oversized_files": _written(_oversized),
    "mistyped_files": _written(_png_called_jpeg),
    "odd_modes": _written(_odd_mode),
    "orientations": _written(_turned),
    "unusual_sizes": _written(_sized),
    "exact_duplicates": _written(_copy_exactly),
    "duplicates_across_splits": _written(_copy_across, parts=("train", "test")),
    "contradictory_labels": _written(_contradict),
    "near_duplicates": _written(_nearly),
    "near_duplicates_across_splits": _written(_nearly_across, parts=("train", "test")),
    "near_duplicates_with_other_labels": _written(_nearly_contradict),
    "groups_across_splits": lambda root, seed: _groups(root, seed, leak=True),
    "neighbours_by_name": lambda root, seed: _sequence(root, seed, ("",) if seed % 2 else ("train", "test")),
    "class_imbalance": _written(lambda root, seed: _keep(root, 1 + seed % 4)),
    "rare_classes": _written(lambda root, seed: _keep(root, 1 + seed % 4)),
    "classes_missing_from_split": _written(_part_without_class, parts=("train", "test")),
    "similar_labels": _written(_spell),
    "annotations_without_image": _table,
    "unusable_records": _unusable,
    "unread_annotations": _stated,
    "unused_classes": _class_list,
    "images_without_annotation": _unlisted,
    "images_without_objects": _unnamed,
    "ignored_split": _odd_split,
    "boxes_outside": _boxes(
        lambda n: (Box("cat", 80, 10, 120, 30), Box("cat", -9, 1, 9, 9), Box("cat", 3, 90, 9, 99),
                   Box("dog", 5, -3, 9, 9), Box("fox", 200, 200, 230, 230))[n]
    ),
    "inverted_boxes": _boxes(lambda n: Box("cat", 50 + n, 10, 20, 30) if n % 2 else Box("cat", 5, 40 + n, 20, 30)),
    "zero_area_boxes": _boxes(lambda n: Box("cat", 9 + n, 10, 9 + n, 30 if n % 2 else 10)),
    "tiny_boxes": _boxes(lambda n: Box("cat", 9 + n, 10, 10 + n, 11 + n)),
    "repeated_boxes": _boxes(lambda n: box(n, n)),
    "boxes_not_finite": _boxes(lambda n: Box("cat", float(("nan", "inf", "-inf", "nan", "inf")[n]), 10, 20, 30)),
    "sizes_differ": _boxes(lambda n: box(n, 50), size=(SIDE // 2, SIDE)),
    "mask_values": _mask(lambda values: np.where(values == 2, 9, values).astype(np.uint8)),
    "mask_sizes": _mask(lambda values: values[:, 1:]),
    "empty_masks": _mask(lambda values: np.full_like(values, 255)),
    "unreadable_masks": lambda root, seed: _mask_files(root, seed, broken=True),
    "classes_not_in_masks": _absent_class,
    "suspicious_labels": lambda root, seed: learnable(root, seed, wrong=3),
}  # fmt: skip
"""By kind of finding, how to plant it; faults 0 to 4 differ."""


def _tidy_boxes(root: Path, seed: int) -> Survey:
    return annotated(root, seed, lambda number: Boxes((box(seed, number), box(seed, number + 100)), (SIDE, SIDE)))


HEALTHY: dict[str, Callable[[Path, int], Survey]] = {
    "class folders": lambda root, seed: of_folder(folders(root, seed)),
    "a divided folder": lambda root, seed: of_folder(folders(root, seed, parts=("train", "valid", "test"))),
    "groups kept together": lambda root, seed: _groups(root, seed, leak=False),
    "boxes": _tidy_boxes,
    "masks": _mask(lambda values: values),
    "classes that can be told apart": learnable,
}
"""Data sets of which nothing should be said; there are as many as seeds are given."""
