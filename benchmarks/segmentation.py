"""Masks of membranes: ours beside segmentation_models.pytorch, from the same trunk, on the same images, in one run.

    pip install -e '.[bench]'
    python benchmarks/segmentation.py --data MEMBRANE --epochs 12 --seeds 0 1 2

MEMBRANE has images/ and masks/ of 30 sections of a fly's nerve cord (ISBI 2012, 512 × 512); the first 20 by number are
learnt from, the last 10 judged. Every run is a process of its own, all threads, and has the same weights of
EfficientNet-Lite0: the checkpoint of the package goes into the peer's encoder tensor by tensor, in its order.

- ours: `svertka.train(..., net="unet", weights="efficientnet_lite0")` on pieces of 288 × 288, batches of 2; all else by
  default, and nothing held out.
- smp: `smp.Unet("timm-tf_efficientnet_lite0")` on the whole images, flipped both ways at random, batches of 4, Dice and
  cross-entropy, AdamW at 0.001 in one cycle; its last epoch is judged.
- smp_pieces: the same on pieces of 288 × 288 cut out at random, batches of 2, so that it sees as many pixels as ours.

All are judged by `svertka.tasks.segmentation` on the whole test images. Seconds are from the call to the trained
network, without imports; ours with its report, model file and what it judges.
"""

from __future__ import annotations

import argparse
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


def ours(data: Path, epochs: int, seed: int, scratch: Path) -> tuple[float, dict[str, float]]:
    """Train, report and judge."""
    os.environ["SVERTKA_CACHE"] = str(scratch / "cache")
    import svertka
    from svertka.training import loop  # noqa: F401 (what is imported is not timed)

    started = time.perf_counter()
    trained = svertka.train(
        data,
        net="unet",
        weights="efficientnet_lite0",
        epochs=epochs,
        image_size=PIECE,
        batch=2,
        seed=seed,
        val_fraction=0.0,
        out=scratch / "run",
        progress=False,
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
    started = time.perf_counter()
    net = smp.Unet("timm-tf_efficientnet_lite0", encoder_weights=None, classes=2)
    # The same tensors by other names; the classifier's last two have no place.
    values = torch.load(path, weights_only=True).values()
    names = net.encoder.state_dict()
    net.encoder.load_state_dict(dict(zip(names, list(values)[: len(names)], strict=True)))
    images, masks = read(data / "train")
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
    score = SegmentationTask(("background", "foreground"), Preprocess(height=512, width=512, fit="whole")).score()
    net.eval()
    with torch.inference_mode():
        for number, (image, mask) in enumerate(zip(*read(data / "test"), strict=True)):
            score.update(net(tensor(image[None])), torch.from_numpy(mask[None]), torch.tensor([number]))
    return seconds, dict(score.evaluate(score.arrays()).metrics)


def cut(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], piece: int | None, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """An image and its mask, or a piece of them, flipped both ways at random."""
    if piece is not None:
        top, left = (int(rng.integers(0, side - piece + 1)) for side in image.shape)
        image, mask = image[top : top + piece, left : left + piece], mask[top : top + piece, left : left + piece]
    for axis in range(2):
        if rng.random() < 0.5:
            image, mask = np.flip(image, axis), np.flip(mask, axis)
    return image, mask


def tensor(images: NDArray[np.uint8]) -> Any:
    """Grey images ``(N, H, W)`` as the weights take them: three channels, mean and deviation 0.5."""
    import torch

    return (torch.from_numpy(images.copy()).float() / 255 - 0.5)[:, None].expand(-1, 3, -1, -1) / 0.5


def read(folder: Path) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]:
    """Images and masks of a part, in natural order."""
    names = sorted((path.name for path in (folder / "images").iterdir()), key=lambda name: int(Path(name).stem))
    images = [np.asarray(Image.open(folder / "images" / name).convert("L")) for name in names]
    masks = [(np.asarray(Image.open(folder / "masks" / name)) > 127).astype(np.uint8) for name in names]
    return images, masks


COMPETITORS: dict[str, Callable[..., tuple[float, dict[str, float]]]] = {
    "ours": ours,
    "smp": lambda *given: peer(*given, piece=None, batch=4),
    "smp_pieces": lambda *given: peer(*given, piece=PIECE, batch=2),
}


def divide(source: Path, target: Path) -> None:
    """The first 20 pairs to learn from, the others to be judged by."""
    for place in ("images", "masks"):
        for path in sorted((source / place).glob("*.png"), key=lambda path: int(path.stem)):
            part = "train" if int(path.stem) < LEARNT else "test"
            (target / part / place).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target / part / place / path.name)


def main() -> None:
    """Run all competitors in turns and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--competitors", nargs="+", choices=COMPETITORS, default=list(COMPETITORS))
    parser.add_argument("--one", choices=COMPETITORS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        with tempfile.TemporaryDirectory() as scratch:
            seconds, metrics = COMPETITORS[given.one](given.data, given.epochs, given.seeds[0], Path(scratch))
        print(json.dumps({"seconds": seconds, **metrics}))
        return
    found: dict[str, list[dict[str, float]]] = {name: [] for name in given.competitors}
    with tempfile.TemporaryDirectory() as folder:
        divide(given.data, Path(folder))
        for seed in given.seeds:
            for name in given.competitors:
                command = [sys.executable, __file__, "--data", folder, "--epochs", str(given.epochs)]
                command += ["--seeds", str(seed), "--one", name]
                answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                found[name].append(json.loads(answer.stdout.splitlines()[-1]))
                print(name, seed, found[name][-1], file=sys.stderr)
    peers = importlib.metadata.version("segmentation_models_pytorch")
    print(f"{given.epochs} epochs, {len(given.seeds)} seeds, {platform.processor() or platform.machine()}, smp {peers}")
    for name, runs in found.items():
        means = {key: statistics.mean(run[key] for run in runs) for key in runs[0]}
        print(
            f"{name:12} mean IoU {means['miou']:.4f}  boundary F1 {means['boundary_f1']:.4f}  "
            f"accuracy {means['accuracy']:.4f}  {means['seconds']:.1f} s"
        )


if __name__ == "__main__":
    main()
