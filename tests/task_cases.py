"""A case for every task: small data that can be learnt, what learns it, and what is to come of it.

`tests/end_to_end/test_tasks.py` takes each the whole way. A new task, of a plug-in too, is one more `Case`.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


@dataclass(frozen=True, kw_only=True)
class Case:
    """A task, the whole way.

    Attributes:
        task: Its name.
        write: Writes data, or a share of it, into a folder that is not there yet, and says what is given to ``train``.
        pictures: Some images of that data.
        learn: Flags of a training that learns something, within seconds.
        cut: Flags of trainings of two epochs that are cut and resumed, each of networks as small as can be.
        metric, least: What is learnt, at least.
        classes: In the order of the outputs.
        report: What stands in the report.
        names: What is found in an image, of the JSON of a prediction: every engine finds just that.
        numbers: What is measured of it there; engines differ by ``apart`` at most.
        written: Ends of the names of the files that a prediction of one image is written to.
        explained: Some methods of ``explain``.
        pruned: The least that is left of ``metric`` when 0.7 of the operations are; None if it cannot be pruned.
    """

    task: str
    write: Callable[[Path, float], Path]
    pictures: Callable[[Path], list[Path]]
    learn: tuple[object, ...]
    cut: tuple[tuple[object, ...], ...]
    metric: str
    least: float
    classes: tuple[str, ...]
    report: tuple[str, ...]
    names: Callable[[Any], Sequence[str]]
    numbers: Callable[[Any], Sequence[float]]
    apart: float
    written: tuple[str, ...] = (".json", "-drawn.png")
    explained: tuple[str, ...] = ("saliency", "grad_cam")
    pruned: float | None = None


def write_digits(folder: Path, share: float = 1.0) -> Path:
    """The first of scikit-learn's handwritten digits, 20 of each class, as PNG class folders."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    for label in range(10):
        place = folder / str(label)
        place.mkdir(parents=True)
        for number in np.flatnonzero(digits.target == label)[: round(20 * share)]:
            grey = np.round(255 * (1 - digits.images[number] / 16)).astype(np.uint8)
            Image.fromarray(grey).save(place / f"{number:04}.png")
    return folder


COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (40, 40, 230)}
SHARES = {"red": 0.5, "green": 0.4, "blue": 0.12}


def write_squares(folder: Path, share: float = 1.0, seed: int = 0) -> Path:
    """Squares of some of three colours on noisy grey, and a CSV that names the colours; blue is rare."""
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    with (folder / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "label", "split"])
        for number in range(round(300 * share)):
            image = generator.integers(90, 160, (32, 32, 3), np.uint8)
            names = [name for name, share in SHARES.items() if generator.random() < share]
            for name in names:
                top, left = generator.integers(0, 24, 2)
                image[top : top + 8, left : left + 8] = COLOURS[name]
            Image.fromarray(image).save(folder / f"{number}.png")
            rows.writerow([f"{number}.png", ";".join(names), "test" if number % 5 == 0 else "train"])
    return folder / "labels.csv"


def write_discs(folder: Path, share: float = 1.0) -> Path:
    """Photographs of bright discs and squares on dark ground, of several sizes, with masks."""
    del share  # there are few
    rng = np.random.default_rng(0)
    for part, count in (("train", 16), ("test", 4)):
        for place in ("images", "masks"):
            (folder / part / place).mkdir(parents=True)
        for number in range(count):
            height, width = rng.integers(40, 60, 2)
            rows, columns = np.indices((height, width))
            mask = np.zeros((height, width), np.uint8)
            for kind in (1, 2):
                y, x, size = rng.integers(8, height - 8), rng.integers(8, width - 8), rng.integers(6, 10)
                apart = np.stack([abs(rows - y), abs(columns - x)])
                mask[(np.hypot(*apart) if kind == 1 else apart.max(axis=0)) < size] = kind
            image = rng.integers(0, 60, (height, width, 3)) + np.array([[0, 0, 0], [150, 80, 0], [0, 80, 150]])[mask]
            mask[:2] = 255
            Image.fromarray(image.astype(np.uint8)).save(folder / part / "images" / f"{number}.png")
            Image.fromarray(mask).save(folder / part / "masks" / f"{number}.png")
    (folder / "classes.txt").write_text("background\ndisc\nsquare\n")
    return folder


def write_shapes(folder: Path, share: float = 1.0) -> Path:
    """Photographs of bright discs and squares on dark ground, of several sizes, with a CSV of boxes; some show none."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = ["file,label,left,top,right,bottom,split"]
    for part, count in (("train", 48), ("val", 8), ("test", 12)):
        for number in range(max(6, round(count * share))):
            height, width = (int(side) for side in rng.integers(70, 100, 2))
            rows, columns = np.indices((height, width))
            image = rng.integers(0, 60, (height, width, 3))
            name, there = f"{part}{number}.png", []
            for kind, label in enumerate(("disc", "square")):
                if number % 6 == 5:
                    continue
                radius = int(rng.integers(9, 16))
                y, x = int(rng.integers(radius, height - radius)), int(rng.integers(radius, width - radius))
                apart = np.stack([abs(rows - y), abs(columns - x)])
                mask = (np.hypot(*apart) if kind == 0 else apart.max(axis=0)) < radius
                image[mask] = ((200, 120, 40), (40, 120, 220))[kind]
                there.append(f"{name},{label},{x - radius},{y - radius},{x + radius},{y + radius},{part}")
            lines += there or [f"{name},,,,,,{part}"]
            Image.fromarray(image.astype(np.uint8)).save(folder / name)
    (folder / "boxes.csv").write_text("\n".join(lines))
    return folder / "boxes.csv"


UNET = ("--net", "unet", "--trunk", "resnet8_cifar", "--image-size", 32, "--augment", "flip")
SSD = ("--net", "ssd", "--trunk", "resnet8_cifar", "--image-size", 64)
SLIM = (
    *("--net", "yolo_v1", "--net-options.width", 16, "--net-options.hidden", 32),
    *("--trunk", "resnet8_cifar", "--image-size", 64),
)
"""Of 0.2 million parameters, for what needs not be learnt well."""
FROZEN = ("--freeze", "all", "--engine", "pytorch")

CASES = (
    Case(
        task="classification",
        write=write_digits,
        pictures=lambda data: sorted(data.glob("[37]/*.png")),
        learn=("--epochs", 12, "--batch", 16, "--lr", 0.006, "--augment", "none"),
        cut=(("--net", "lenet5", "--batch", 16),),
        metric="accuracy",
        least=0.8,
        classes=tuple("0123456789"),
        report=("Class by class",),
        names=lambda said: [entry["name"] for entry in said["classes"]][:1],
        numbers=lambda said: [entry["score"] for entry in said["classes"]],
        apart=1e-3,
        pruned=0.5,
    ),
    Case(
        task="multilabel",
        write=write_squares,
        pictures=lambda data: [data.parent / f"{number}.png" for number in range(12)],
        learn=(
            *("--net", "lenet5", "--channels", 3, "--epochs", 20, "--batch", 16, "--lr", 0.003),
            *("--optimizer", "adam", "--augment", "none"),
        ),
        cut=(("--net", "lenet5", "--channels", 3, "--batch", 16),),
        metric="macro_f1",
        least=0.8,
        classes=("blue", "green", "red"),
        report=("test images exactly their labels", "Label by label"),
        names=lambda said: sorted(said["labels"]),
        numbers=lambda said: [entry["score"] for entry in sorted(said["scores"], key=lambda entry: entry["name"])],
        apart=1e-4,
        pruned=0.5,
    ),
    Case(
        task="segmentation",
        write=write_discs,
        pictures=lambda data: sorted((data / "test" / "images").iterdir()),
        learn=(*UNET, "--epochs", 25, "--lr", 0.01),
        cut=((*UNET, "--batch", 4), ("--net", "unet", "--image-size", 32, "--batch", 4, *FROZEN)),
        metric="miou",
        least=0.6,  # of three classes; all background is 0.3
        classes=("background", "disc", "square"),
        report=("Class by class", "image, truth, prediction, errors"),
        names=lambda said: [found["name"] for found in said["classes"]],
        numbers=lambda said: [found["area"] / said["height"] / said["width"] for found in said["classes"]],
        apart=1e-3,
        written=(".json", "-drawn.png", "-mask.png"),
        pruned=0.4,
    ),
    Case(
        task="detection",
        write=write_shapes,
        pictures=lambda data: sorted(data.parent.glob("test*.png")),
        learn=(*SSD, "--epochs", 10, "--lr", 0.003),
        cut=((*SLIM, "--batch", 4), ("--net", "yolo_v2", "--image-size", 64, "--batch", 4, *FROZEN)),
        metric="map50",
        least=0.5,
        classes=("disc", "square"),
        report=("Class by class", "What is wrong", "Precision by recall", "image, truth, prediction"),
        names=lambda said: [found["name"] for found in said["objects"]],
        numbers=lambda said: [found[side] for found in said["objects"] for side in ("left", "top", "right", "bottom")],
        apart=0.1,
    ),
)
