"""Does memory stay flat, and does time grow in proportion, as the images become more?

    python benchmarks/frozen_memory.py --weights efficientnet_lite0 --image-size 64

trains a head on frozen stages, in a process and with a cache of its own each time, on 1,000, 5,000 and 20,000 synthetic
JPEGs in ten classes, and prints the process's largest resident memory and the seconds by stage.

Last measured, two cores of a shared server with something else running:

    images 1,000   peak_mb 1,094  reading  1.2  running frozen stages  1.2  fitting the head  2.0
    images 20,000  peak_mb 1,197  reading 17.8  running frozen stages 30.9  fitting the head 46.5
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

_SIDE = 96  # pixels of the JPEGs
_CLASSES = 10
_STAGES = ("reading", "running frozen stages", "fitting the head")


def write_images(folder: Path, count: int) -> None:
    """So many JPEGs in ten class folders: waves whose direction and length say the class, and noise."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[0:_SIDE, 0:_SIDE] / _SIDE
    for number in range(count):
        label = number % _CLASSES
        angle = np.pi * label / _CLASSES + generator.normal(0, 0.1)
        waves = np.sin(2 * np.pi * (3 + label) * (x * np.cos(angle) + y * np.sin(angle)) + generator.uniform(0, 6))
        image = 128 + 60 * waves[..., None] * generator.uniform(0.5, 1, 3) + generator.normal(0, 25, (_SIDE, _SIDE, 3))
        place = folder / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(place / f"{number:06}.jpg", quality=90)


def measure(weights: str, size: int, count: int, folder: Path) -> dict[str, float]:
    """Megabytes and seconds of one training."""
    write_images(folder / "images", count)
    command = [sys.executable, "-m", "svertka", "train", str(folder / "images"), "--weights", weights]
    command += ["--image-size", str(size), "--out", str(folder / "run"), "--json"]
    environment = {**os.environ, "SVERTKA_CACHE": str(folder / "cache")}
    # The largest of all children so far: the counts go up, so it is this one's, or memory does not grow at all.
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    seconds = json.loads(done.stdout)["seconds_by_stage"]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {"images": count, "peak_mb": round(peak), **{stage: seconds[stage] for stage in _STAGES}}


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="efficientnet_lite0")
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 5000, 20000])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = []
    for count in sorted(given.counts):
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(given.weights, given.image_size, count, Path(folder)))
        if not given.json:
            print(
                "  ".join(
                    f"{name} {value:,.0f}" if value >= 100 else f"{name} {value:.1f}"
                    for name, value in rows[-1].items()
                )
            )
    if given.json:
        print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
