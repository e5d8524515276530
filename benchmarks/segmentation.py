"""Masks: ours beside segmentation_models.pytorch, from the same trunk, on the same images, in one run.

    pip install -e '.[bench]'
    python benchmarks/segmentation.py --data MEMBRANE --seeds 0 1 2
    python benchmarks/segmentation.py --data CUTOUTS --competitors ours fcn8s deconvnet unet_2015 smp --seeds 0

MEMBRANE has images/ and masks/ of 30 sections of a fly's nerve cord (ISBI 2012, 512 × 512); the first 20 by number are
learnt from, the last 10 judged. CUTOUTS is what `benchmarks/cutouts.py` writes, or any set with images/train,
images/test, masks/train, masks/test, and legend.json. Every run is a process of its own, all threads. Those that begin
with trained weights have the same ones of EfficientNet-Lite0: the checkpoint of the package goes into the peer's
encoder tensor by tensor, in its order.

- ours: `svertka.train(..., net="unet", weights="efficientnet_lite0")`, all else by default but for the epochs, and
  nothing held out; fcn8s: the same with ``net="fcn8s"``.
- deconvnet, unet_2015: as published but narrower, from scratch, with --scratch-epochs.
- smp: `smp.Unet("timm-tf_efficientnet_lite0")` on the whole images, flipped both ways at random, batches of 4, Dice and
  cross-entropy, AdamW at 0.001 in one cycle; its last epoch is judged.
- smp_pieces: the same on pieces of 288 × 288 cut out at random, batches of 2, so that it sees as many pixels as ours.

All are judged by `svertka.tasks.segmentation` on the whole test images. Seconds are from the call to the trained
network, without imports; ours with its report, model file and what it judges.

Last measured, MEMBRANE, 12 epochs, seeds 0, 1, 2, one thread each, other work on the other core, smp 0.6.0:

    ours         mean IoU 0.7682 ± 0.0016  boundary F1 0.8269 ± 0.0036  accuracy 0.9134 ± 0.0006  167.8 s
    smp          mean IoU 0.7585 ± 0.0014  boundary F1 0.8070 ± 0.0037  accuracy 0.9066 ± 0.0010  560.9 s

CUTOUTS, seed 0, one thread, other work beside; 4 epochs, deconvnet 15 from scratch on pieces of 96 × 96:

    ours         mean IoU 0.8600  boundary F1 0.8500                   336 s
    fcn8s        mean IoU 0.8442  boundary F1 0.7943  accuracy 0.9811  164 s
    smp          mean IoU 0.8645  boundary F1 0.8862  accuracy 0.9872  343 s
    deconvnet    mean IoU 0.5401  boundary F1 0.5013  accuracy 0.9522  2,623 s
"""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LEARNT = 20
PIECE = 288


def ours(data: Path, epochs: int, seed: int, scratch: Path, **given: Any) -> tuple[float, dict[str, float]]:
    """Train, report and judge."""
    os.environ["SVERTKA_CACHE"] = str(scratch / "cache")
    import svertka
    from svertka.training import loop  # noqa: F401 (what is imported is not timed)

    started = time.perf_counter()
    trained = svertka.train(
        data, epochs=epochs, seed=seed, val_fraction=0.0, out=scratch / "run", progress=False, **given
    )
    return time.perf_counter() - started, dict(trained.metrics)


def peer(
    data: Path, epochs: int, seed: int, scratch: Path, *, piece: int | None, batch: int
) -> tuple[float, dict[str, float]]:
    """Train as smp's examples do; judge."""
    del scratch
    import segmentation_models_pytorch as smp
    import torch

    from svertka.runtime.preprocess import Preprocess
    from svertka.tasks.segmentation import SegmentationTask
    from svertka.zoo.weights import find

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    record = find("efficientnet_lite0")
    assert record is not None
    assert record.package is not None
    package, place = record.package
    path = str(importlib.metadata.distribution(package).locate_file(place))
    classes = names_of(data)
    started = time.perf_counter()
    net = smp.Unet("timm-tf_efficientnet_lite0", encoder_weights=None, classes=len(classes))
    # The same tensors by other names; the classifier's last two have no place.
    values = torch.load(path, weights_only=True).values()
    names = net.encoder.state_dict()
    net.encoder.load_state_dict(dict(zip(names, list(values)[: len(names)], strict=True)))
    images, masks = read(data, "train")
    steps = epochs * -(-len(images) // batch)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps)
    dice, entropy = smp.losses.DiceLoss("multiclass"), torch.nn.CrossEntropyLoss()
    for _ in range(epochs):
        order = rng.permutation(len(images))
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            pairs = [cut(images[number], masks[number], piece, rng) for number in chosen]
            x = tensor(np.stack([image for image, _ in pairs]))
            y = torch.from_numpy(np.stack([mask for _, mask in pairs])).long()
            logits = net(x)
            loss = dice(logits, y) + entropy(logits, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    seconds = time.perf_counter() - started
    score = SegmentationTask(classes, Preprocess(height=512, width=512, fit="whole")).score()
    net.eval()
    with torch.inference_mode():
        for number, (image, mask) in enumerate(zip(*read(data, "test"), strict=True)):
            score.update(net(tensor(image[None])), torch.from_numpy(mask[None]), torch.tensor([number]))
    return seconds, dict(score.evaluate(score.arrays()).metrics)


def cut(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], piece: int | None, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """An image and its mask, or a piece of them, flipped both ways at random."""
    if piece is not None:
        top, left = (int(rng.integers(0, max(side - piece, 0) + 1)) for side in mask.shape)
        image, mask = image[top : top + piece, left : left + piece], mask[top : top + piece, left : left + piece]
    for axis in range(2):
        if rng.random() < 0.5:
            image, mask = np.flip(image, axis), np.flip(mask, axis)
    return image, mask


def tensor(images: NDArray[np.uint8]) -> Any:
    """Images ``(N, H, W, 3)`` as the weights take them: mean and deviation 0.5."""
    import torch

    return ((torch.from_numpy(images.copy()).float() / 255 - 0.5) / 0.5).permute(0, 3, 1, 2).contiguous()


def names_of(data: Path) -> list[str]:
    """The classes, as the legend or the custom of masks of 0 and 255 has them."""
    legend = data / "legend.json"
    return json.loads(legend.read_text()) if legend.is_file() else ["background", "foreground"]


def read(data: Path, part: str) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]:
    """Images and masks of a part, in natural order."""
    files = sorted((data / "images" / part).iterdir(), key=lambda path: int(path.stem))
    images = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    masks = [np.asarray(Image.open(data / "masks" / part / f"{file.stem}.png")) for file in files]
    if not (data / "legend.json").is_file():
        masks = [(mask > 127).astype(np.uint8) for mask in masks]
    return images, masks


_TRUNK = {"weights": "efficientnet_lite0"}

COMPETITORS: dict[str, Callable[..., tuple[float, dict[str, float]]]] = {
    "ours": functools.partial(ours, net="unet", **_TRUNK),
    "fcn8s": functools.partial(ours, net="fcn8s", **_TRUNK),
    "deconvnet": functools.partial(ours, net="deconvnet", trunk="vgg11_bn", net_options={"hidden": 256}, image_size=96),
    "unet_2015": functools.partial(ours, net="unet_2015", channels=3, net_options={"width": 16}, image_size=380),
    "smp": functools.partial(peer, piece=None, batch=4),
    "smp_pieces": functools.partial(peer, piece=PIECE, batch=2),
}
FROM_SCRATCH = ("deconvnet", "unet_2015")


def divide(source: Path, target: Path) -> None:
    """The first 20 pairs to learn from, the others to be judged by."""
    for place in ("images", "masks"):
        for path in sorted((source / place).glob("*.png"), key=lambda path: int(path.stem)):
            part = "train" if int(path.stem) < LEARNT else "test"
            (target / place / part).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target / place / part / path.name)


def main() -> None:
    """Run all competitors in turns and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--scratch-epochs", type=int, default=60)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--competitors", nargs="+", choices=COMPETITORS, default=["ours", "smp", "smp_pieces"])
    parser.add_argument("--one", choices=COMPETITORS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        with tempfile.TemporaryDirectory() as scratch:
            seconds, metrics = COMPETITORS[given.one](given.data, given.epochs, given.seeds[0], Path(scratch))
        print(json.dumps({"seconds": seconds, **metrics}))
        return
    found: dict[str, list[dict[str, float]]] = {name: [] for name in given.competitors}
    with tempfile.TemporaryDirectory() as folder:
        data = given.data
        if not (data / "images" / "train").is_dir():
            data = Path(folder)
            divide(given.data, data)
        for seed in given.seeds:
            for name in given.competitors:
                epochs = given.scratch_epochs if name in FROM_SCRATCH else given.epochs
                command = [sys.executable, __file__, "--data", str(data), "--epochs", str(epochs)]
                command += ["--seeds", str(seed), "--one", name]
                answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                found[name].append(json.loads(answer.stdout.splitlines()[-1]))
                print(name, seed, found[name][-1], file=sys.stderr)
    peers = importlib.metadata.version("segmentation_models_pytorch")
    print(f"{given.epochs} epochs, {len(given.seeds)} seeds, {platform.processor() or platform.machine()}, smp {peers}")
    for name, runs in found.items():
        told = [
            f"{label} {statistics.mean(values):.4f} ± {statistics.pstdev(values):.4f}"
            for key, label in (("miou", "mean IoU"), ("boundary_f1", "boundary F1"), ("accuracy", "accuracy"))
            if (values := [run[key] for run in runs])
        ]
        print(f"{name:12} {'  '.join(told)}  {statistics.mean(run['seconds'] for run in runs):.1f} s")


if __name__ == "__main__":
    main()
