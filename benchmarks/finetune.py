"""Fine-tuning: ours, fastai, vyntri and plain PyTorch loops, from the same weights, on the same images, in one run.

    pip install -e '.[bench]'
    python benchmarks/finetune.py --data CLASS_FOLDERS --weights efficientnet_lite0

Of each class, sorted by the number in the file's name, the first --per-class images are to learn from and as many last
ones are held out; where numbers follow whoever was photographed, as in sign-digits, these are other people. Every
competitor gets the same two folders, the same weights, converted beforehand, the images at the weights' size, and all
threads. Each run is a process of its own, and they take turns, in a round for each seed.

- ours: `svertka.train` with its defaults, with an empty cache. Its one result is that of its end, report and all.
- ours_budget: the same with ``budget`` set to --limit.
- fastai: a `vision_learner` on our trunk with fastai's head, `fine_tune(4)`; images by `Resize`, batches of 64, workers
  as it chooses; its three defaults.
- fastai_frozen: that learner, `freeze()` and `fit_one_cycle(3)`.
- vyntri: `Vyntri(...).fit(train)` with its defaults: features once, then its projection and ridge regression. It knows
  five networks of torchvision only, so the trunk and its mean are entered in its registry, and the weights' mean and
  deviation put in place of ImageNet's; its geometry is 256 pixels, of which the middle 224 are cut out.
- plain_frozen: the trunk frozen, in evaluation mode; its mean, a new linear layer, Adam at 0.001, batches of 32, a
  DataLoader of two workers; until --limit.
- plain_whole: all of that network trained, AdamW at 0.0001; until --limit.

Peers are judged on the held-out images after each epoch, and their best epoch is taken, which flatters them. Their
clock stands still while they are judged, but for the one time that gives the figure. Ours chooses by images of its
training part, and is judged once. "From the call" begins when a competitor's modules are imported (of ours: torch; what
`svertka.train` imports counts), "process" when its process is started. What comes after --limit, from the call, counts
for nobody. "Ours" is the first result of ours of the same round that is at least as accurate as the peer's best.

Last measured on sign-digits, 1,000 and 1,000 images, two cores without bf16, one competitor a command and nothing else
running; ratios are to ours of the same seed:

    seed 0  ours           0.9290 at 11.9 s
            vyntri 1.5     0.9080 at 133.4 s (11.2 ×)
            plain_frozen   0.6740 at 127.8 s, 0.8080 at 193.5 s, 0.8430 at 255.1 s, 0.8490 at 316.6 s (26.6 ×)
            fastai 2.8     0.3850 at 200.7 s, 0.6720 at 391.6 s, 0.7660 at 584.4 s (49.1 ×)
            fastai_frozen  0.3500 at 177.7 s, 0.6880 at 306.3 s, 0.7730 at 444.0 s (37.3 ×)
    seed 1  ours           0.9180 at 13.2 s
            vyntri         0.9080 at 108.6 s (8.2 ×)
            plain_frozen   0.7230 at 100.8 s, 0.8080 at 150.7 s, 0.8270 at 205.7 s, 0.8780 at 312.5 s (23.7 ×)
            fastai         0.3890 at 204.4 s, 0.6540 at 384.4 s, 0.7730 at 570.2 s (43.2 ×)
    seed 2  ours           0.9240 at 12.1 s
            vyntri         0.9080 at 111.4 s (9.2 ×)
            plain_frozen   0.7540 at 111.9 s, 0.8250 at 168.6 s, 0.8490 at 228.4 s, 0.8830 at 285.6 s (23.6 ×)
            fastai         0.3450 at 178.1 s, 0.6470 at 342.7 s, 0.7820 at 527.5 s (43.6 ×)

    within ten minutes, mean of three seeds: ours_budget 0.9827 ± 0.0045, at 287, 389 and 370 s; vyntri 0.9080,
    plain_frozen 0.8700 ± 0.0184 after 330 s, fastai 0.7737 ± 0.0080

ours_budget was run with --limit 240 and took longer than it was given, since it was planned for both cores and then
trained with one; it is planned as it is trained now. fastai_frozen with other seeds and plain_whole did not come to
their turn.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svertka.zoo.weights import find, obtain

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
OURS = ("ours", "ours_budget")


class TimeIsUpError(Exception):
    """The limit is reached."""


class Clock:
    """Seconds since it was made, without those that earlier judging took.

    Args:
        spawned: When the process was started, in seconds since 1970.
        limit: Seconds after which there is no going on.
        sink: Where results are written, a line of JSON each.
    """

    def __init__(self, spawned: float, limit: float, sink: Any) -> None:
        self.startup = time.time() - spawned
        self.limit, self.sink = limit, sink
        self.started = time.perf_counter()
        self.aside, self.began, self.spent = 0.0, self.started, 0.0

    def judging(self) -> None:
        """Judging on the held-out images begins."""
        self.began = time.perf_counter()

    def judged(self, accuracy: float) -> None:
        """Judging is over: write down the result.

        Raises:
            TimeIsUpError: Another such result would come after the limit.
        """
        now = time.perf_counter()
        seconds = now - self.started - self.aside
        line = {"seconds": seconds, "process": seconds + self.startup, "accuracy": accuracy}
        print(json.dumps(line), file=self.sink, flush=True)
        judging = now - self.began
        self.aside += judging
        spent = now - self.started - self.aside
        learning, self.spent = spent - self.spent, spent
        if spent + learning + judging > self.limit:
            raise TimeIsUpError("the limit is reached")  # fastai wants a message


@dataclass(frozen=True)
class Job:
    """What a competitor is given; it makes its clock when its modules are imported.

    Attributes:
        images: Folder with ``train`` and ``test``, in each a folder a class.
        weights: Name of the weights.
        seed: Of all that is random.
        limit: Seconds.
        scratch: An empty folder.
        clock: Starts the clock.
    """

    images: Path
    weights: str
    seed: int
    limit: float
    scratch: Path
    clock: Callable[[], Clock]

    def load(self) -> tuple[Any, Any]:
        """The network with the published weights, and their preprocessing."""
        from svertka.zoo.modelfile import load_model

        net, card = load_model(obtain(find(self.weights)))
        return net, card.input

    def features(self) -> tuple[Any, int, Any]:
        """The trunk followed by the mean over all positions, the number of features, and the preprocessing."""
        from torch import nn

        net, preprocess = self.load()
        channels = net.trunk.shapes(preprocess.height, preprocess.width)[net.trunk.names[-1]][0]
        return nn.Sequential(net.trunk, nn.AdaptiveAvgPool2d(1), nn.Flatten()), channels, preprocess


def ours(job: Job, **changes: Any) -> None:
    import torch  # noqa: F401 (the peers have it imported when their clock starts)

    import svertka

    clock = job.clock()
    run = job.scratch / "run"
    trained = svertka.train(job.images, weights=job.weights, seed=job.seed, out=run, progress=False, **changes)
    assert trained.judged_on == "test"
    clock.judged(trained.metrics["accuracy"])


def ours_budget(job: Job) -> None:
    ours(job, budget=job.limit)


def fastai(job: Job, *, frozen: bool = False) -> None:
    from fastai.callback.core import Callback
    from fastai.callback.schedule import Learner  # noqa: F401 (adds fine_tune and fit_one_cycle)
    from fastai.data.transforms import Normalize
    from fastai.metrics import accuracy
    from fastai.torch_core import set_seed
    from fastai.vision.augment import Resize
    from fastai.vision.data import ImageDataLoaders
    from fastai.vision.learner import vision_learner

    clock = job.clock()

    class Judging(Callback):
        def before_validate(self) -> None:
            clock.judging()

        def after_validate(self) -> None:
            clock.judged(float(self.learn.recorder.metrics[0].value))

    set_seed(job.seed)
    net, preprocess = job.load()
    loaders = ImageDataLoaders.from_folder(
        job.images,
        valid="test",
        item_tfms=Resize(preprocess.height),
        batch_tfms=Normalize.from_stats(preprocess.mean, preprocess.std),
    )
    # The first of the network's two children is the trunk; what follows the cut is fastai's.
    learner = vision_learner(loaders, lambda **_: net, cut=1, metrics=accuracy, cbs=Judging())
    with learner.no_bar(), learner.no_logging():
        if frozen:
            learner.freeze()
            learner.fit_one_cycle(3)
        else:
            learner.fine_tune(4)


def fastai_frozen(job: Job) -> None:
    fastai(job, frozen=True)


def vyntri(job: Job) -> None:
    from vyntri import Vyntri
    from vyntri.backbones import registry

    clock = job.clock()
    features, channels, preprocess = job.features()
    registry._MEAN, registry._STD = list(preprocess.mean), list(preprocess.std)
    known = registry.BackboneInfo(
        name=job.weights,
        feature_dim=channels,
        pretrained_id=job.weights,
        parameter_count=sum(parameter.numel() for parameter in features.parameters()),
        cpu_viable=True,
        factory=features.eval,
    )
    registry._register(known)
    model = Vyntri(backbone=job.weights, seed=job.seed, cache_dir=str(job.scratch / "cache"))
    model.fit(str(job.images / "train"), progress=False)
    clock.judging()
    clock.judged(model.evaluate(str(job.images / "test")).accuracy)


def plain(job: Job, *, frozen: bool) -> None:
    """The loop that anyone would write."""
    import torch
    from torch import nn
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms

    clock = job.clock()
    torch.manual_seed(job.seed)
    trunk, channels, preprocess = job.features()
    steps = [
        transforms.Resize(
            (preprocess.height, preprocess.width), transforms.InterpolationMode(preprocess.interpolation)
        ),
        transforms.ToTensor(),
        transforms.Normalize(preprocess.mean, preprocess.std),
    ]
    parts = {
        part: datasets.ImageFolder(str(job.images / part), transforms.Compose(steps)) for part in ("train", "test")
    }
    train_batches = DataLoader(parts["train"], batch_size=32, shuffle=True, num_workers=2)
    test_batches = DataLoader(parts["test"], batch_size=32, num_workers=2)
    head = nn.Linear(channels, len(parts["train"].classes))
    net = nn.Sequential(trunk, head)
    if frozen:
        trunk.requires_grad_(False)
        optimizer: torch.optim.Optimizer = torch.optim.Adam(head.parameters(), lr=1e-3)
    else:
        optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4)
    loss_of = nn.CrossEntropyLoss()
    while True:
        net.train()
        if frozen:
            trunk.eval()
        for images, labels in train_batches:
            optimizer.zero_grad()
            loss_of(net(images), labels).backward()
            optimizer.step()
        clock.judging()
        net.eval()
        with torch.no_grad():
            right = sum(int((net(images).argmax(1) == labels).sum()) for images, labels in test_batches)
        clock.judged(right / len(parts["test"]))


def plain_frozen(job: Job) -> None:
    plain(job, frozen=True)


def plain_whole(job: Job) -> None:
    plain(job, frozen=False)


COMPETITORS: dict[str, Callable[[Job], None]] = {
    function.__name__: function
    for function in (ours, ours_budget, fastai, fastai_frozen, vyntri, plain_frozen, plain_whole)
}


@dataclass(frozen=True)
class Mark:
    """A result of a competitor: when, from its call and from the start of its process, and how accurate."""

    seconds: float
    process: float
    accuracy: float


Rounds = dict[str, list[list[Mark]]]
"""By competitor, then by round: its results within the limit, in the order they came."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of class folders")
    parser.add_argument("--weights", default="efficientnet_lite0", help="a network with published weights")
    parser.add_argument("--per-class", type=int, default=100, help="images to learn from, and held out, of a class")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="one for each round")
    parser.add_argument("--limit", type=float, default=600, help="seconds that a competitor has")
    parser.add_argument("--competitors", nargs="+", choices=COMPETITORS, default=[*COMPETITORS])
    parser.add_argument("--json", action="store_true", help="print all results as JSON")
    for hidden, kind in (("--competitor", str), ("--seed", int), ("--spawned", float), ("--scratch", Path)):
        parser.add_argument(hidden, type=kind, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.competitor:
        compete(options)
        return
    record = find(options.weights)
    if record is None:
        raise SystemExit(f"no network is called {options.weights}")
    weights = obtain(record)
    rounds: Rounds = {name: [] for name in options.competitors}
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder, "images")
        divide(options.data, images, options.per_class)
        for seed in options.seeds:
            for name in options.competitors:
                marks = race(name, images, weights, seed, options)
                rounds[name].append([mark for mark in marks if mark.seconds <= options.limit])
                line = ", ".join(f"{mark.accuracy:.4f} at {mark.seconds:.1f} s" for mark in marks) or "failed"
                print(f"seed {seed}, {name}: {line}", file=sys.stderr)
    found = {
        "per_class": options.per_class,
        "limit": options.limit,
        "machine": {"architecture": platform.machine(), "cores": os.cpu_count()},
        "versions": {name: version(name) for name in ("torch", "fastai", "vyntri")},
        "peers": [row(name, rounds) for name in rounds if name not in OURS],
        "best": best_of_all(rounds),
        "results": {name: [[vars(mark) for mark in marks] for marks in runs] for name, runs in rounds.items()},
    }
    print(json.dumps(found) if options.json else table(found))


def divide(data: Path, target: Path, per_class: int) -> None:
    """Copy the images into ``train`` and ``test`` below ``target``."""
    for folder in sorted(path for path in data.iterdir() if path.is_dir()):
        files = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and re.search(r"\d", path.stem)]
        files.sort(key=lambda path: (int(re.findall(r"\d+", path.stem)[-1]), path.name))
        if len(files) < 2 * per_class:
            raise SystemExit(f"{folder} has {len(files)} numbered images, which is less than twice {per_class}")
        for part, chosen in (("train", files[:per_class]), ("test", files[-per_class:])):
            (target / part / folder.name).mkdir(parents=True)
            for path in chosen:
                shutil.copyfile(path, target / part / folder.name / path.name)


def race(name: str, images: Path, weights: Path, seed: int, options: argparse.Namespace) -> list[Mark]:
    """The results of one run; of one that failed, none, and why on standard error."""
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder, "cache")
        (cache / "weights").mkdir(parents=True)
        shutil.copyfile(weights, cache / "weights" / weights.name)
        environment = {**os.environ, "SVERTKA_CACHE": str(cache)}
        environment.pop("OMP_NUM_THREADS", None)
        command = [sys.executable, __file__, "--data", str(images), "--weights", options.weights]
        command += ["--competitor", name, "--seed", str(seed), "--limit", str(options.limit), "--scratch", folder]
        command += ["--spawned", repr(time.time())]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        print(f"{name} failed:\n{done.stderr[-2000:]}", file=sys.stderr)
        return []
    return [Mark(**json.loads(line)) for line in done.stdout.splitlines()]


def compete(options: argparse.Namespace) -> None:
    """Be one competitor; results go to standard output, and all that it prints itself to standard error."""
    sink, sys.stdout = sys.stdout, sys.stderr
    job = Job(
        options.data,
        options.weights,
        options.seed,
        options.limit,
        options.scratch,
        lambda: Clock(options.spawned, options.limit, sink),
    )
    with contextlib.suppress(TimeIsUpError):
        COMPETITORS[options.competitor](job)


def row(name: str, rounds: Rounds) -> dict[str, Any]:
    """A peer beside ours, as means over the rounds; the ratios are of rounds in which ours reached the peer's best."""
    bests = [best(marks) for marks in rounds[name]]
    pairs = []
    for number, peer in enumerate(bests):
        mine = [mark for one in OURS if one in rounds for mark in rounds[one][number]]
        own = reaching(peer.accuracy, mine) if peer else None
        if peer and own:
            pairs.append((peer, own))
    return {
        "competitor": name,
        "accuracy": spread([mark.accuracy for mark in bests if mark]),
        "seconds": spread([mark.seconds for mark in bests if mark]),
        "process": spread([mark.process for mark in bests if mark]),
        "ours_seconds": spread([own.seconds for _, own in pairs]),
        "ours_process": spread([own.process for _, own in pairs]),
        "reached": len(pairs),
        "rounds": sum(mark is not None for mark in bests),
        "ratio": spread([peer.seconds / own.seconds for peer, own in pairs]),
        "process_ratio": spread([peer.process / own.process for peer, own in pairs]),
    }


def best(marks: Sequence[Mark]) -> Mark | None:
    """The most accurate result, the first of several."""
    return max(marks, key=lambda mark: mark.accuracy, default=None)


def reaching(accuracy: float, marks: Sequence[Mark]) -> Mark | None:
    """The quickest result that is at least as accurate."""
    return min((mark for mark in marks if mark.accuracy >= accuracy), key=lambda mark: mark.seconds, default=None)


def best_of_all(rounds: Rounds) -> dict[str, Any]:
    """By competitor: its best accuracy within the limit, of the rounds in which it had any."""
    return {
        name: spread([mark.accuracy for marks in runs if (mark := best(marks)) is not None])
        for name, runs in rounds.items()
    }


def spread(values: Sequence[float]) -> dict[str, float] | None:
    """Mean and standard deviation."""
    if not values:
        return None
    return {"mean": statistics.mean(values), "deviation": statistics.stdev(values) if len(values) > 1 else 0.0}


def version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def table(found: dict[str, Any]) -> str:
    """All of it, to be read."""
    lines = [
        f"{'':<15}{'best accuracy':<18}{'seconds to it':<16}{'ours':<16}{'ratio':<14}{'processes: peer, ours, ratio'}"
    ]
    for peer in found["peers"]:
        cells = [
            f"{peer['competitor']:<15}{said(peer['accuracy'], 4):<18}{said(peer['seconds'], 1):<16}",
            f"{said(peer['ours_seconds'], 1):<16}{said(peer['ratio'], 2):<14}",
            ", ".join(said(peer[key], 1) for key in ("process", "ours_process", "process_ratio")),
        ]
        if peer["reached"] < peer["rounds"]:
            cells.append(f"   (ours reached it in {peer['reached']} of {peer['rounds']} rounds)")
        lines.append("".join(cells))
    lines.append(f"best accuracy within {found['limit']:g} s:")
    most = {name: value for name, value in found["best"].items() if value}
    for name in sorted(most, key=lambda name: -most[name]["mean"]):
        lines.append(f"  {name:<15}{said(most[name], 4)}")
    versions = ", ".join(f"{name} {value}" for name, value in found["versions"].items() if value)
    lines.append(f"{found['machine']['architecture']}, {found['machine']['cores']} cores, {versions}")
    return "\n".join(lines)


def said(value: dict[str, float] | None, digits: int) -> str:
    return f"{value['mean']:.{digits}f} ± {value['deviation']:.{digits}f}" if value else "–"


if __name__ == "__main__":
    main()
