"""What ``kill -9`` costs: runs are killed sixty times, resumed each time, and compared with runs that were not.

    python benchmarks/kill.py

LeNet-5 on scikit-learn's 1,797 digits with dropout, augmentation, running mean and accumulation, AdamW and momentum,
0 and 2 workers in turn, a save after every step or every 0.2 s or 1 s. A third of the kills fall anywhere from
the start of the process on, a quarter while it trains, the others are aimed inside a save: as soon as the
temporary file of one is seen, and up to 4 ms later. "Inside" counts only what was found so after death. A chain is one
run, killed ten times, and at last left alone; its model file must equal, byte for byte, that of the run never killed.

Work lost is the time from the last save to the kill, of processes that had saved. Last measured:

    kills                                        60
      inside a save, before its renames          20
      inside a save, between its renames         4
    without a checkpoint that loads              0
    torn checkpoints                             0
    runs, of these with other bytes in the end   6, 0
    work lost, saving every step: median, most   0.038 s, 0.441 s
    work lost, saving every 0.2 s: median, most  0.071 s, 0.086 s
    work lost, saving every 1 s: median, most    0.344 s, 1.017 s
    x86_64, 2 cores, torch 2.14.1+cu130, 11 min
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import os
import platform
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits

from svertka.training.checkpoint import Checkpoints
from svertka.zoo.modelfile import read_card

RECIPE = (
    *("--net", "lenet5", "--epochs", "12", "--batch", "16", "--accumulate", "2", "--dropout", "0.2"),
    *("--augment", "affine", "crop", "--ema", "0.99", "--precision", "fp32", "--device", "cpu", "--threads", "1"),
)
KINDS = (
    ("--optimizer", "adamw", "--layout", "channels_first"),
    ("--optimizer", "momentum", "--lr", "0.02", "--layout", "channels_last"),
)
CHAIN = 10  # kills of one run
INSIDE = "before its renames", "between its renames"


@dataclass
class Kill:
    """One kill: how it was aimed, where it fell, and what it cost."""

    aim: str
    save_every: float
    workers: int
    fell: str
    loadable: bool
    torn: int
    lost: float | None
    steps: int


def write_digits(folder: Path) -> None:
    digits = load_digits()
    for number, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        place = folder / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.round(255 * (1 - image / 16)).astype(np.uint8)).save(place / f"{number:04}.png")


def start(data: Path, run: Path, kind: int, *, save_every: float = 0, workers: int = 0) -> subprocess.Popen[bytes]:
    flags = (*RECIPE, *KINDS[kind], "--save-every", str(save_every), "--workers", str(workers))
    command = (sys.executable, "-m", "svertka", "train", str(data), "--out", str(run), "--resume", *flags, "--json")
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes]) -> None:
    _, said = process.communicate()
    if process.returncode:
        sys.exit(f"a run ended with {process.returncode}: {said.decode()}")


def written(checkpoint: Path) -> float:
    with contextlib.suppress(FileNotFoundError):
        return checkpoint.stat().st_mtime
    return 0.0


def wait(process: subprocess.Popen[bytes], ready: Callable[[], bool]) -> None:
    while process.poll() is None and not ready():
        time.sleep(0.0003)


def kill(process: subprocess.Popen[bytes], run: Path, aim: str, chance: random.Random, start_up: float) -> float:
    """Kill the process as aimed; the time when it was done."""
    checkpoint = run / "checkpoint.safetensors"
    before = written(checkpoint)
    if aim == "anywhere":
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0, 1.3 * start_up))
    else:
        wait(process, lambda: written(checkpoint) > before)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0, 2))
    if aim == "save":
        wait(process, lambda: any(run.glob(".checkpoint*.partial")))
        time.sleep(chance.uniform(0, 0.004))
    process.send_signal(signal.SIGKILL)
    now = time.time()
    process.wait()
    assert process.stderr is not None
    process.stderr.close()
    return now


def look(run: Path, before: float, killed_at: float, process: int) -> tuple[str, bool, int, float | None, int]:
    """Where a kill fell; whether there is a whole checkpoint; how many are torn; seconds of work lost; steps kept."""
    checkpoints = Checkpoints(run)
    newest, previous = written(checkpoints.newest), written(checkpoints.previous)
    fell = "outside saves"
    if any(run.glob(f".checkpoint*.{process}.partial")):  # of this process, not of one killed before it
        fell = INSIDE[1] if not newest and previous else INSIDE[0]
    if not (newest or previous):
        return fell, True, 0, None, 0  # nothing had been saved yet
    found, warnings = checkpoints.load()
    saved = newest or previous
    lost = killed_at - saved if saved > before else None  # None: this process had not saved yet
    return fell, found is not None, len(warnings), lost, found.state["steps"] if found else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--inside", type=int, default=20, help="go on until so many fell inside a save")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    kills: list[Kill] = []
    chains: list[bool] = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SVERTKA_CACHE"] = str(Path(folder, "cache"))
        data = Path(folder, "digits")
        write_digits(data)
        begun = time.monotonic()
        straight, start_up = [], 0.0
        for kind in range(len(KINDS)):
            run = Path(folder, f"straight{kind}")
            started = time.monotonic()
            process = start(data, run, kind)
            wait(process, (run / "checkpoint.safetensors").exists)
            start_up = time.monotonic() - started
            finish(process)
            straight.append(run / "model.safetensors")
            print(f"never killed: {time.monotonic() - started:.0f} s, {start_up:.0f} s of it to start", flush=True)

        def enough() -> bool:
            return len(kills) >= arguments.kills and inside(kills) >= arguments.inside

        while not enough():
            kind, run = len(chains) % len(KINDS), Path(folder, f"killed{len(chains)}")
            early = False
            for _ in range(CHAIN):
                aim = chance.choices(("anywhere", "training", "save"), (4, 3, 5))[0]
                save_every = 0.0 if aim == "save" else chance.choice((0.0, 0.2, 1.0))
                workers = chance.choice((0, 2))
                before = max(written(path) for path in (Checkpoints(run).newest, Checkpoints(run).previous))
                process = start(data, run, kind, save_every=save_every, workers=workers)
                killed_at = kill(process, run, aim, chance, start_up)
                if process.returncode == 0:  # it was done before the kill
                    early = True
                    break
                assert process.returncode == -signal.SIGKILL, process.returncode
                kills.append(Kill(aim, save_every, workers, *look(run, before, killed_at, process.pid)))
                print(f"{len(kills):>3}  {kills[-1]}", flush=True)
                if enough():
                    break
            finish(start(data, run, kind))
            chains.append(same(run / "model.safetensors", straight[kind], early=early))
            print(f"run {len(chains)}: {'the same' if chains[-1] else 'DIFFERENT'}{', early' * early}", flush=True)
        print(table(kills, chains, time.monotonic() - begun))


def same(model: Path, straight: Path, *, early: bool) -> bool:
    """Whether two model files are equal; of one that a process with other flags finished, weights and metrics."""
    ours, theirs = read_card(model), read_card(straight)
    equal = (ours.weights, ours.metrics) == (theirs.weights, theirs.metrics)
    equal &= early or model.read_bytes() == straight.read_bytes()
    if not equal:
        print(f"see {shutil.copytree(model.parent, tempfile.mkdtemp(), dirs_exist_ok=True)}", flush=True)
    return equal


def inside(kills: list[Kill]) -> int:
    return sum(kill.fell in INSIDE for kill in kills)


def table(kills: list[Kill], chains: list[bool], seconds: float) -> str:
    fell = collections.Counter(kill.fell for kill in kills)
    lines = [
        ("kills", str(len(kills))),
        *((f"  inside a save, {place}", str(fell[place])) for place in INSIDE),
        ("without a checkpoint that loads", str(sum(not kill.loadable for kill in kills))),
        ("torn checkpoints", str(sum(kill.torn for kill in kills))),
        ("runs, of these with other bytes in the end", f"{len(chains)}, {chains.count(False)}"),
    ]
    for every in sorted({kill.save_every for kill in kills}):
        lost = [kill.lost for kill in kills if kill.save_every == every and kill.lost is not None]
        if lost:
            name = f"{every:g} s" if every else "every step"
            text = f"{statistics.median(lost):.3f} s, {max(lost):.3f} s"
            lines.append((f"work lost, saving every {name}: median, most".replace("every every", "every"), text))
    width = max(len(name) for name, _ in lines)
    rows = [f"{name:<{width}}  {value}" for name, value in lines]
    where = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, {seconds / 60:.0f} min"
    return "\n".join([*rows, where])


if __name__ == "__main__":
    main()
