"""A small task on series, registered as a plug-in would: class folders of ``.npy`` and ``.csv``, and a 1-D network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from torch import nn

from svertka.data.samples import Dataset, Format, Sample, SeriesFile
from svertka.layers.trunk import Classifier, Trunk
from svertka.runtime.series import SERIES_SUFFIXES
from svertka.task_records.record import TaskRecord
from svertka.tasks.classification import Classification
from svertka.zoo.records import NetRecord

CHANNELS = 2


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.suffix in SERIES_SUFFIXES)


def read(path: Path) -> Dataset:
    """Class folders, below ``train`` and ``test`` or not."""
    parts: dict[str, list[Sample]] = {}
    for file in _files(path):
        name = file.relative_to(path)
        part = name.parts[0] if name.parts[0] in ("train", "val", "test") else "all"
        parts.setdefault(part, []).append(Sample(name.as_posix(), SeriesFile(file), file.parent.name))
    return Dataset(path, "class folders of series", parts, media="series")


def fits(path: Path) -> bool:
    return path.is_dir() and next(_files(path), None) is not None and not any(path.rglob("*.png"))


class SmallSeriesNet(Classifier):
    """Two convolutions over time with a normalisation, then the mean over time."""

    def __init__(self, *, classes: int = 3, in_channels: int = CHANNELS, dropout: float = 0.0) -> None:
        def stage(inputs: int, outputs: int) -> nn.Module:
            return nn.Sequential(
                nn.Conv1d(inputs, outputs, 5, 2, padding=2), nn.BatchNorm1d(outputs), nn.ReLU(), nn.Dropout(dropout)
            )

        trunk = Trunk({"c1": stage(in_channels, 8), "c2": stage(8, 16)}, in_channels=in_channels)
        head = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(16, classes))
        super().__init__(trunk, head, classes=classes)


class SeriesClassification(Classification):
    """Classification of series."""

    name = "series_classification"


FORMAT = Format("series-folders", "class folders of series", fits, read)
TASK = TaskRecord(
    name="series_classification",
    gives="classes",
    media="series",
    contract="classifier",
    suits=lambda labels: all(isinstance(label, str) for label in labels),
    learnt=SeriesClassification.learnt_from,
    opened=SeriesClassification.of_card,
    decoder="svertka.runtime.decoders.classification:classification",
    subject="svertka.workflows.explaining.classes:ClassSubject",
    fields=("label_smoothing", "balance"),
    published=False,
)
NET = NetRecord(
    name="small_series_net",
    media="series",
    builder=SmallSeriesNet,
    image_size=32,
    channels=CHANNELS,
    classes=3,
    smallest=4,
)
THINGS = (FORMAT, TASK, NET)


def write(folder: Path, counts: dict[str, int], *, seed: int = 0) -> Path:
    """Sines of a frequency of their class, and noise; of every fifth length another, every third as CSV."""
    rng = np.random.default_rng(seed)
    for cls, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            length = 40 + 7 * (number % 5 == 4) - 9 * (number % 5 == 3)
            time = np.arange(length) + rng.uniform(0, 20)
            wave = np.sin(time * (0.2 + 0.5 * cls))
            values = np.stack([5 + 3 * wave, -100 + rng.normal(0, 20, length)], axis=1).astype(np.float32)
            if number % 3:
                np.save(folder / name / f"{number}.npy", values)
            else:
                rows = "\n".join(",".join(f"{value!r}" for value in row) for row in values.astype(float).tolist())
                (folder / name / f"{number}.csv").write_text(f"speed,heat\n{rows}\n")
    return folder
