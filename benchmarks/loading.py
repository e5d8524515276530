"""How many images a second reach the network, and does memory stay flat?

    python benchmarks/loading.py                     # 2,000 synthetic JPEGs of 256×256
    python benchmarks/loading.py --data photos/      # a folder of class folders

Ours, torchvision's ImageFolder with a DataLoader of two worker processes, and WebDataset with the same, from the same
files to batches of 64 float32 images of 128×128, normalised; then flipped and shifted too. Each in a process of its
own, three epochs: the first, in which files are decoded, and the mean of the others. Memory is that of the main
process, pages that are only mapped left out; ten epochs of ours show what it does.

Last measured, two cores of a shared server, alone on it:

    images a second                     first epoch    later   memory
    ours                                        293   11,737   370 MB
    imagefolder                                 276      733   369 MB
    webdataset                                  267      639   371 MB
    ours, flipped and shifted                   226    3,471   353 MB
    imagefolder, flipped and shifted            245      647   370 MB
    webdataset, flipped and shifted             242      578   371 MB
    memory of ours after epochs 1 to 10, MB: 350 350 350 350 350 350 350 350 350 350

and with the 2,062 photographs of hands, mostly 100×100, of sign-digits:

    ours                                        276   12,623   428 MB
    imagefolder                                 208      436   369 MB
    webdataset                                  168      376   371 MB
    ours, flipped and shifted                   275    3,289   438 MB
    imagefolder, flipped and shifted            163      309   369 MB
    webdataset, flipped and shifted             160      246   371 MB
    memory of ours after epochs 1 to 10, MB: 435 441 441 441 441 441 441 441 441 441
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

_SIDE, _BATCH, _WORKERS = 128, 64, 2
_EPOCHS, _MANY = 3, 10
_SYNTHETIC, _JPEG_SIDE, _CLASSES = 2000, 256, 10
_SHARD = 500  # images


def write_images(folder: Path) -> None:
    """Synthetic photographs in class folders: waves and noise."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[0:_JPEG_SIDE, 0:_JPEG_SIDE] / _JPEG_SIDE
    for number in range(_SYNTHETIC):
        waves = np.sin(2 * np.pi * generator.uniform(2, 9) * (x * generator.normal() + y * generator.normal()))
        noise = generator.normal(0, 12, (_JPEG_SIDE, _JPEG_SIDE, 3))
        image = 128 + 70 * waves[..., None] * generator.uniform(0.4, 1, 3) + noise
        place = folder / str(number % _CLASSES)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(place / f"{number:05}.jpg", quality=90)


def write_shards(images: Path, folder: Path) -> str:
    """The same files as WebDataset shards; their pattern."""
    files = sorted(path for path in images.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    names = sorted({file.parent.name for file in files})
    folder.mkdir()
    count = -(-len(files) // _SHARD)
    for shard in range(count):
        with tarfile.open(folder / f"{shard:03}.tar", "w") as archive:
            for number, file in enumerate(files[shard * _SHARD : (shard + 1) * _SHARD]):
                label = str(names.index(file.parent.name)).encode()
                for ending, data in ((file.suffix[1:].lower(), file.read_bytes()), ("cls", label)):
                    info = tarfile.TarInfo(f"{number:05}.{ending}")
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
    return str(folder / f"{{000..{count - 1:03}}}.tar")


def ours(data: str, augmented: bool) -> Iterator[int]:
    """Images of each batch, epoch after epoch without end; -1 after each epoch."""
    from svertka.data.batching.batches import Loader, Part, Pixels
    from svertka.data.preparing import prepare
    from svertka.runtime.preprocess import Preprocess
    from svertka.tasks.making import task_for

    preprocess = Preprocess(height=_SIDE, width=_SIDE, mean=(0.5,) * 3, std=(0.25,) * 3)
    prepared = prepare(Path(data), preprocess, val_fraction=0.0, seed=0)
    train = prepared.parts["train"]
    task = task_for(train.labels, sorted(set(train.labels)), preprocess)  # type: ignore[type-var]
    names = ("flip", "crop") if augmented else ()
    part = Part(Pixels(prepared.images, train.positions, preprocess, names), task.targets(train.labels))
    epoch = 0
    while True:
        for batch in Loader(part, _BATCH).training(epoch):
            yield len(batch.inputs)
        yield -1
        epoch += 1


def _torchvision_transform(augmented: bool) -> Any:
    import torch
    from torchvision.transforms import v2

    shift = _SIDE // 8
    moves = [v2.RandomHorizontalFlip(), v2.RandomCrop(_SIDE, padding=shift, padding_mode="edge")] if augmented else []
    return v2.Compose(
        [
            *(v2.Resize((_SIDE, _SIDE)), *moves, v2.PILToTensor()),
            *(v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5] * 3, [0.25] * 3)),
        ]
    )


def imagefolder(data: str, augmented: bool) -> Iterator[int]:
    """As `ours`, by torchvision and PyTorch."""
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder

    loader = DataLoader(
        ImageFolder(data, _torchvision_transform(augmented)),
        _BATCH,
        shuffle=True,
        num_workers=_WORKERS,
        persistent_workers=True,
    )
    while True:
        for images, _ in loader:
            yield len(images)
        yield -1


def webdataset(data: str, augmented: bool) -> Iterator[int]:
    """As `ours`, by WebDataset; ``data`` is a pattern of shards."""
    import webdataset as wds

    transform = _torchvision_transform(augmented)
    samples = (
        wds.WebDataset(data, shardshuffle=100)
        .shuffle(1000)
        .decode("pil")
        .to_tuple("jpg;jpeg;png", "cls")
        .map_tuple(lambda image: transform(image.convert("RGB")), int)
        .batched(_BATCH)
    )
    loader = wds.WebLoader(samples, batch_size=None, num_workers=_WORKERS, persistent_workers=True)
    while True:
        for images, _ in loader:
            yield len(images)
        yield -1


PEERS = {"ours": ours, "imagefolder": imagefolder, "webdataset": webdataset}


def resident() -> float:
    """Megabytes that this process holds, pages that it only maps left out."""
    fields = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["RssAnon"].split()[0]) / 1024


def run(peer: str, data: str, augmented: bool, epochs: int) -> dict[str, Any]:
    """Images a second and memory, epoch by epoch."""
    rates, memory = [], []
    started, seen = time.perf_counter(), 0
    for count in PEERS[peer](data, augmented):
        if count > 0:
            seen += count
            continue
        rates.append(seen / (time.perf_counter() - started))
        memory.append(resident())
        if len(rates) == epochs:
            break
        started, seen = time.perf_counter(), 0
    return {"rates": rates, "memory": memory}


def in_a_process(peer: str, data: str, *, augmented: bool, epochs: int = _EPOCHS) -> dict[str, Any]:
    """`run` in a process and with a cache of its own."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, __file__, "--run", peer, "--data", data, "--epochs", str(epochs)]
        command += ["--augmented"] if augmented else []
        environment = {**os.environ, "SVERTKA_CACHE": cache}
        done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="folder of class folders")
    parser.add_argument("--run", choices=PEERS, help=argparse.SUPPRESS)
    parser.add_argument("--augmented", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--epochs", type=int, default=_EPOCHS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        print(json.dumps(run(given.run, given.data, given.augmented, given.epochs)))
        return
    with tempfile.TemporaryDirectory() as folder:
        images = Path(given.data) if given.data else Path(folder, "images")
        if not given.data:
            write_images(images)
        shards = write_shards(images, Path(folder, "shards"))
        print(f"{'images a second':34} {'first epoch':>12} {'later':>8} {'memory':>8}")
        for augmented in (False, True):
            for peer in PEERS:
                data = shards if peer == "webdataset" else str(images)
                found = in_a_process(peer, data, augmented=augmented)
                first, later = found["rates"][0], float(np.mean(found["rates"][1:]))
                title = f"{peer}{', flipped and shifted' if augmented else ''}"
                print(f"{title:34} {first:12,.0f} {later:8,.0f} {found['memory'][-1]:5,.0f} MB", flush=True)
        memory = in_a_process("ours", str(images), augmented=True, epochs=_MANY)["memory"]
        print(f"memory of ours after epochs 1 to {_MANY}, MB: {' '.join(f'{value:.0f}' for value in memory)}")


if __name__ == "__main__":
    main()
