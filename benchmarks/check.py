"""What ``svertka check`` finds of planted faults, how often it is wrong, and how long it takes.

    python benchmarks/check.py                 writes docs/check.md; SVERTKA_DATA names the folder of real data
    python benchmarks/check.py --speed         20,000 images of 256×256

Last measured, on two cores (x86_64), the peak of resident memory as the system counts it:

    20,000 images of 256×256: 21.3 s, 372 MB at most
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from svertka.commands.check.suspects import described, folds_of, out_of_sample
from svertka.data.checks.leaks import neighbours_by_name
from svertka.data.checks.survey import Survey
from svertka.data.checks.suspicious import suspicious_labels
from svertka.data.readers.reading import open_dataset
from svertka.data.splitting.likeness import alike, joined, shrink
from svertka.workflows.progress import Display

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "data"))
import planted  # noqa: E402

FAULTS = range(5)
COPIED = 200  # images of a set that are copied in each way, at most
SHUFFLES = 50
GARMENTS = 100  # of each class
WRONG = 0.05  # share of the labels


def kinds(folder: Path) -> list[str]:
    """Rows of the table of kinds."""
    alarms: Counter[str] = Counter()
    healthy = 0
    for name, make in planted.HEALTHY.items():
        for seed in FAULTS:
            healthy += 1
            seen = make(folder / "healthy" / f"{name} {seed}", seed)
            alarms.update({finding.kind for finding in planted.all_findings(seen)})
    rows = []
    for kind, plant in planted.PLANTED.items():
        hits = sum(
            kind in {finding.kind for finding in planted.findings_of(kind, plant(folder / kind / str(fault), fault))}
            for fault in FAULTS
        )
        rows.append(f"| `{kind}` | {hits} of {len(FAULTS)} | {alarms[kind]} of {healthy} |")
    return rows


def photographs(data: Path) -> dict[str, list[Path]]:
    """Real photographs, by data set."""
    sets = {
        "sign-digits": sorted((data / "sign-digits" / "Dataset").rglob("*.JPG")),
        "bccd": sorted((data / "bccd" / "JPEGImages").glob("*.jpg")),
        "membrane": sorted((data / "membrane" / "images").iterdir()),
    }
    return {name: files for name, files in sets.items() if files}


def copies(data: Path) -> list[str]:
    """Rows of the table of copies."""
    rows = []
    total: Counter[str] = Counter()
    for name, files in photographs(data).items():
        images = [Image.open(file).convert("RGB") for file in files]
        images = [image for image in images if max(image.size) < 2000]
        chosen = np.random.default_rng(0).permutation(len(images))[:COPIED].tolist()
        flagged, pairs = _flagged(images)
        cells = []
        for how, change in planted.COPIES.items():
            found = _found(images, chosen, [change(images[number]) for number in chosen])
            total[how] += found
            cells.append(f"{found / len(chosen):.1%}")
        total["images"] += len(images)
        total["copied"] += len(chosen)
        total["flagged"] += flagged
        rows.append(f"| {name} | {len(images):,} | {' | '.join(cells)} | {flagged / len(images):.2%} ({pairs} pairs) |")
    shares = [f"{total[how] / total['copied']:.1%}" for how in planted.COPIES]
    rows.append(f"| all | {total['images']:,} | {' | '.join(shares)} | {total['flagged'] / total['images']:.2%} |")
    return rows


def _flagged(images: list[Image.Image]) -> tuple[int, int]:
    pairs = alike(*_seen(images))
    return sum(map(len, joined(len(images), pairs))), len(pairs)


def _found(images: list[Image.Image], chosen: list[int], copied: list[Image.Image]) -> int:
    pairs = {(pair.first, pair.second) for pair in alike(*_seen([*images, *copied]))}
    return sum((number, len(images) + place) in pairs for place, number in enumerate(chosen))


def _seen(images: list[Image.Image]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    small = np.stack([shrink(np.asarray(image)) for image in images])
    return small, np.array([min(image.size) for image in images])


def shuffled(data: Path) -> str:
    """How often names that say nothing are taken for a sequence: those of sign-digits, exchanged within classes."""
    seen = planted.of_folder(data / "sign-digits")
    (true,) = neighbours_by_name(seen)
    labels = np.array([seen.classes(position)[0] for position in range(len(seen.samples))])
    alarms = 0
    for shuffle in range(SHUFFLES):
        generator = np.random.default_rng(shuffle)
        order = np.arange(len(labels))
        for label in np.unique(labels):
            here = np.flatnonzero(labels == label)
            order[here] = generator.permutation(here)
        samples = [
            type(sample)(seen.samples[other].name, sample.source, sample.annotation)
            for sample, other in zip(seen.samples, order.tolist(), strict=True)
        ]
        alarms += bool(list(neighbours_by_name(Survey(seen.dataset, samples, seen.parts, seen.looks, seen.sizes))))
    return f"On sign-digits: {true.message}. With names exchanged within classes: {alarms} alarms of {SHUFFLES}."


def _garments(data: Path, folder: Path) -> Path:
    """A hundred images of each class of Fashion-MNIST, as class folders of PNG."""
    counts: Counter[str] = Counter()
    for sample in open_dataset(data / "fashion-mnist").parts["train"]:
        label = str(sample.annotation)
        if counts[label] < GARMENTS:
            path = folder / label / f"{counts[label]:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(sample.source.load()[0]).save(path)
            counts[label] += 1
    return folder


def labels(data: Path, folder: Path) -> list[str]:
    """Rows of the table of wrong labels: 5 % of them are exchanged for others, at random."""
    rows = []
    display = Display(show=False)
    sets = {"sign-digits": data / "sign-digits", "Fashion-MNIST": _garments(data, folder / "fashion")}
    for name, path in sets.items():
        seen = planted.of_folder(path)
        chosen = seen.usable
        names = tuple(sorted({seen.classes(position)[0] for position in chosen.tolist()}))
        right = np.array([names.index(seen.classes(position)[0]) for position in chosen.tolist()])
        for frozen in (True, False):
            by, features = described(seen, chosen, display, frozen=frozen)

            def named(told: NDArray[np.int64], by: str = by, features: NDArray[np.float32] = features) -> set[str]:
                folds = folds_of(seen, chosen, told)  # noqa: B023 (called within the pass)
                probabilities = out_of_sample(features, told, folds, len(names), display)  # noqa: B023
                found = suspicious_labels(seen, chosen, told, probabilities, names, by)  # noqa: B023
                return {line.rpartition(": ")[0] for finding in found for line in finding.files}

            hits = planted_in_all = said = 0
            for seed in FAULTS:
                generator = np.random.default_rng(seed)
                wrong = generator.permutation(len(right))[: round(WRONG * len(right))]
                told = right.copy()
                told[wrong] = (told[wrong] + generator.integers(1, len(names), len(wrong))) % len(names)
                answer = named(told)
                hits += len(answer & set(seen.names(chosen[wrong].tolist())))
                planted_in_all += len(wrong)
                said += len(answer)
            alarms = len(named(right))
            rows.append(
                f"| {name} | {len(right):,} | {by} | {hits / planted_in_all:.0%} | {hits / said:.0%} "
                f"| {alarms} ({alarms / len(right):.1%}) |"
            )
    return rows


def speed(count: int = 20_000) -> None:
    """Make images, check them in a process of its own, and print seconds and memory."""
    import subprocess

    with tempfile.TemporaryDirectory() as folder:
        generator = np.random.default_rng(0)
        for number in range(count):
            path = Path(folder, "data", f"class{number % 10}", f"{number:05d}.jpg")
            path.parent.mkdir(parents=True, exist_ok=True)
            coarse = Image.fromarray(generator.integers(0, 256, (9, 9, 3), np.uint8)).resize((256, 256))
            fine = Image.fromarray(generator.integers(0, 256, (64, 64, 3), np.uint8)).resize((256, 256))
            file = io.BytesIO()
            Image.blend(coarse, fine, 0.3).save(file, "JPEG", quality=88)
            path.write_bytes(file.getvalue())
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "svertka", "check", str(Path(folder, "data"))],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"OMP_NUM_THREADS": "2"},
        )
        seconds = time.perf_counter() - started
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(done.stdout[-400:], done.stderr)
    print(f"{count:,} images of 256×256: {seconds:.1f} s, {memory:,.0f} MB at most")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speed", action="store_true")
    if parser.parse_args().speed:
        speed()
        return
    data = Path(os.environ.get("SVERTKA_DATA") or ROOT / "../shared/data").resolve()
    with tempfile.TemporaryDirectory() as folder:
        table = kinds(Path(folder))
        wrong = labels(data, Path(folder))
    ways = list(planted.COPIES)
    text = "\n".join(
        [
            "# What `svertka check` finds",
            "",
            "Written by `python benchmarks/check.py`. Five faults of each kind are planted in drawn data sets, and",
            f"{len(planted.HEALTHY) * len(FAULTS)} healthy ones are looked at; an alarm is a finding of this kind in",
            "one of them.",
            "",
            "| kind of finding | faults found | alarms in healthy sets |",
            "|---|---|---|",
            *table,
            "",
            "## Near duplicates of real photographs",
            "",
            f"Share of copies found, of {COPIED} images of each set (or all), by the way they were made; and share of",
            "the images that are said to have a near duplicate before any was planted. (Blood cells 37 and 38 do have",
            "one: the same field of view.)",
            "",
            f"| photographs | images | {' | '.join(ways)} | flagged unplanted |",
            f"|---|---|{'---|' * (len(ways) + 1)}",
            *copies(data),
            "",
            "## Pictures taken one after another",
            "",
            shuffled(data),
            "",
            "## Wrong labels",
            "",
            f"Of {WRONG:.0%} of the images the label is exchanged for another at random, five times anew, and",
            "`--labels` is asked. Found is the share of these that it names; right, the share of what it names that",
            "was planted; the last column counts what it names where nothing was planted, some of which are hard.",
            "(Of Fashion-MNIST, 100 images of each class. Where the weights are not installed, it goes by gradients",
            "and colours.)",
            "",
            "| images | number | told apart by | found | right | named, none planted |",
            "|---|---|---|---|---|---|",
            *wrong,
            "",
        ]
    )
    (ROOT / "docs" / "check.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
