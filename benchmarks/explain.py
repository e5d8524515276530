"""What explaining costs, and how easily a network that learnt well is fooled.

    python benchmarks/explain.py --data CLASS_FOLDERS

runs, each in a process of its own, with an empty cache and all cores,

- patches: ``svertka explain WEIGHTS IMAGES --method patches`` over --images images: the nine patches of each channel of
  each stage, decoding and page included;
- default: the methods that are run when none is chosen, on the same images;
- adversarial: a head is trained on frozen stages of WEIGHTS, of each class with the first --per-class images by the
  number in the file's name (where numbers follow whoever was photographed, as in sign-digits, the last are of other
  people), and attacked on as many last ones;

and prints seconds and the largest resident memory of the process. --out keeps the pages.

Last measured on sign-digits, on two cores; adversarial with one thread beside other work:

    patches: 57 s, 1,046 MB
    adversarial: 82 s, 1,308 MB; of 32 images 87.5 % are right, and with FGSM at 8 levels 9.4 %, PGD 0 %,
    one change for all 15.6 %, at random 75 %
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
WAYS = ("patches", "default", "adversarial")


def by_number(folder: Path) -> list[Path]:
    """The images of a class, in the order of the numbers in their names."""
    files = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]
    return sorted(files, key=lambda path: (int((re.findall(r"\d+", path.stem) or ["0"])[-1]), path.name))


def linked(files: Sequence[Path], folder: Path) -> None:
    """A class folder of links."""
    folder.mkdir(parents=True)
    for file in files:
        (folder / file.name).symlink_to(file.resolve())


def run(arguments: Sequence[object], cache: Path) -> tuple[dict[str, object], float, float]:
    """What a command prints as JSON, seconds, and the largest resident megabytes of all commands so far."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "svertka", *map(str, arguments), "--json"],
        env={**os.environ, "SVERTKA_CACHE": str(cache)},
        check=True,
        stdout=subprocess.PIPE,
    )
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return json.loads(done.stdout), seconds, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with a folder of images for each class")
    parser.add_argument("--weights", default="efficientnet_lite0")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--per-class", type=int, default=100)
    parser.add_argument("--way", choices=WAYS, nargs="+", default=WAYS)
    parser.add_argument("--out", type=Path, help="where to keep the pages")
    options = parser.parse_args()
    classes = sorted(path for path in options.data.iterdir() if path.is_dir())
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        out = options.out or folder / "out"
        some, divided = folder / "some", folder / "divided"
        share = -(-options.images // len(classes))
        for number, source in enumerate(classes):
            files = by_number(source)
            linked(files[: min(share, options.images - number * share)], some / source.name)
            linked(files[: options.per_class], divided / "train" / source.name)
            linked(files[-options.per_class :], divided / "test" / source.name)
        for way in options.way:
            cache = folder / f"cache-{way}"
            if way == "adversarial":
                trained, seconds, _ = run(
                    ["train", divided, "--weights", options.weights, "--out", folder / "run"], cache
                )
                print(f"trained in {seconds:.1f} s: {trained['metrics']}", flush=True)
                arguments = ["explain", folder / "run", divided, "--method", "adversarial"]
            else:
                arguments = ["explain", options.weights, some]
                arguments += ["--method", "patches"] if way == "patches" else []
            told, seconds, peak = run([*arguments, "--out", out / way], cache)
            print(f"{way}: {seconds:.1f} s, {peak:,.0f} MB at most so far; {told['seconds']}", flush=True)
            found = told["methods"]
            assert isinstance(found, dict)
            for name, scores in found.get("adversarial", {}).get("score", {}).items():
                print(f"    {name:9}", *(f"{score:6.1%}" for score in scores))


if __name__ == "__main__":
    main()
