"""What the doctor finds of faults that are planted in trainings, how often it is wrong, and what it costs.

python benchmarks/doctor.py                   writes docs/doctor.md; SVERTKA_DATA names the folder of real data
python benchmarks/doctor.py --only plateau    one diagnosis, printed
python benchmarks/doctor.py --again           judges the records of the last time anew, without training
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "training"))
os.environ.setdefault("OMP_NUM_THREADS", "1")
import ill  # noqa: E402

from svertka.training.contracts import Observer  # noqa: E402
from svertka.training.diagnoses.diagnosing import DIAGNOSES, diagnose  # noqa: E402
from svertka.training.signals import Signals, read_signals, write_signals  # noqa: E402

ROUNDS = 5
TIMED = {
    "lenet5, 32 × 32": ill.Case("garments", "lenet5", recipe={"epochs": 24}),
    "mlp, 16 × 16": ill.Case("garments", "mlp", recipe={"epochs": 75}),
    "resnet8_cifar, 16 × 16": ill.Case("garments", "resnet8_cifar", recipe={"epochs": 9}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="one diagnosis, or healthy")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--records", type=Path, default=Path(tempfile.gettempdir()) / "svertka-doctor")
    parser.add_argument("--no-timing", action="store_true")
    parser.add_argument("--seeds", type=int, default=100, help="added to all seeds; thresholds were chosen at 0")
    options = parser.parse_args()
    if not ill.HAS_GARMENTS:
        sys.exit("SVERTKA_DATA must name a folder with fashion-mnist in it")
    options.records.mkdir(parents=True, exist_ok=True)
    planted = {kind: cases for kind, cases in ill.PLANTED.items() if options.only in (None, kind)}
    healthy = ill.HEALTHY if options.only in (None, "healthy") else ()
    rows, alarms, wrong = [], Counter[str](), 0
    for number, case in enumerate(healthy):
        signals = record(case, f"healthy-{number}", options)
        found = {diagnosis.kind for diagnosis in diagnose(signals)} | set(signals.said)
        alarms.update(found)
        wrong += bool(found)
        if found:
            say(f"healthy {number}, {case.net} on {case.data}: ALARM {', '.join(sorted(found))}")
    hits = total = first = 0
    for kind, cases in planted.items():
        found = firsts = 0
        others = Counter[str]()
        for number, case in enumerate(cases):
            signals = record(case, f"{kind}-{number}", options)
            named = [diagnosis.kind for diagnosis in diagnose(signals)]
            found += kind in named
            firsts += named[:1] == [kind]
            others.update(name for name in named if name != kind)
            if kind not in named:
                say(f"{kind} {number}, {case.net} on {case.data}: MISSED, said {', '.join(named) or 'nothing'}")
        hits, total, first = hits + found, total + len(cases), first + firsts
        told = ", ".join(f"`{name}` {count}" for name, count in others.most_common())
        rows.append(f"| `{kind}` | {found} of {len(cases)} | {firsts} | {alarms[kind]} of {len(healthy)} | {told} |")
    assert {known.kind for known in DIAGNOSES} == ill.PLANTED.keys()
    text = page(rows, hits, total, first, wrong, len(healthy), fresh=options.seeds != 0)
    if options.only:
        print(text)
        return
    costs = [] if options.no_timing else overhead()
    target = ROOT / "docs" / "doctor.md"
    if options.no_timing and target.exists():
        costs = target.read_text().partition("What it costs")[2].partition("|---|---|---|---|\n")[2].splitlines()
    target.write_text(text + timing(costs))
    print(text + timing(costs))


def record(case: ill.Case, name: str, options: argparse.Namespace) -> Signals:
    path = options.records / f"{name}-{options.seeds}.json"
    if options.again and path.exists():
        return read_signals(path)[""]
    started = time.perf_counter()
    signals = ill.train(dataclasses.replace(case, seed=case.seed + options.seeds))
    write_signals(path, {"": signals})
    say(f"{path.stem}: {time.perf_counter() - started:.1f} s, {signals.done} steps")
    return signals


def page(rows: list[str], hits: int, total: int, first: int, wrong: int, healthy: int, *, fresh: bool) -> str:
    chosen = "on the same faults with other seeds" if fresh else "by looking at these very trainings"
    lines = "\n".join(rows)
    seen = "\n".join(f"- `{known.kind}`: {' '.join((known.look.__doc__ or '').split())}" for known in DIAGNOSES)
    return f"""# What the doctor finds

Written by `python benchmarks/doctor.py`. Each fault is planted in five trainings: small networks (LeNet-5, a
multi-layer perceptron, ResNet-8) on digits, drawn gratings and Fashion-MNIST, with different weights, images and
orders; and {healthy} trainings with nothing wrong are looked at, with other seeds. *Found* is that it was named at all,
*first* that it was named before all else. An alarm is a diagnosis of this kind on a healthy training, in the end or
while it ran. What else was said of planted trainings stands in the last column: mostly what the fault brings about, as
a learning rate too high kills ReLUs. Thresholds were chosen {chosen}; other
networks and data will have another rate.

**Found: {hits} of {total} planted faults ({hits / max(total, 1):.0%}), {first} of them first. Healthy trainings with
any alarm: {wrong} of {healthy} ({wrong / max(healthy, 1):.1%}).**

| diagnosis | found | first | alarms on healthy trainings | what else was said of the planted ones |
|---|---|---|---|---|
{lines}

## What each of them is

{seen}

`noisy_labels` needs five classes or more and validation images that are labelled as the others are; `labels_shuffled`,
`overfitting`, `class_collapse`, `imbalance_ignored` and `wrong_split` need a validation part; where an image has
several labels or a mask, those that go by classes are silent.
"""


def timing(costs: list[str]) -> str:
    lines = "\n".join(costs)
    return f"""
## What it costs

Processor seconds of the same training without the doctor and with it, in turns, least of {ROUNDS} rounds on one thread;
and the share of the time that the doctor's own clock counts for looking.

| training | without | with | by its own clock |
|---|---|---|---|
{lines}
"""


def overhead() -> list[str]:
    rows = []
    for name, case in TIMED.items():
        seconds: dict[bool, list[float]] = {True: [], False: []}
        shares = []
        for number in range(ROUNDS):
            for looking in (True, False) if number % 2 else (False, True):
                spent, signals = timed(case, looking)
                seconds[looking].append(spent)
                if looking:
                    shares.append(signals.seconds["watching"] / signals.seconds["training"])
        # What else the machine does only ever adds to a round.
        without, beside = min(seconds[False]), min(seconds[True])
        change = f"{beside / without - 1:+.1%}"
        rows.append(f"| {name} | {without:.2f} s | {beside:.2f} s ({change}) | {statistics.median(shares):.1%} |")
        say(rows[-1])
    return rows


def timed(case: ill.Case, looking: bool) -> tuple[float, Signals]:
    made = ill.training(case, observer=None if looking else Observer())
    started = time.process_time()
    made.run()
    spent = time.process_time() - started
    observer = made.observer
    if isinstance(observer, ill.Doctor):
        observer.state()
        return spent, observer.signals
    return spent, Signals()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
