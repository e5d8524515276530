"""How fast exported networks answer: ours beside PyTorch, ONNX Runtime and OpenVINO, on the same threads, in one run.

    pip install -e '.[bench]'
    python benchmarks/inference.py --threads 2
    python benchmarks/inference.py --threads 2 --data SIGN_DIGITS

Every network is a process of its own, with the weights of the peer's random initialisation, so that all compute the
same. All engines take turns on the same batch (`svertka.deploy.timing`), warmed, five turns of at least --seconds / 5.

- eager: torchvision's network, or timm's, in fp32, as it comes: `net.eval()` under `torch.inference_mode()`.
- onnxruntime, openvino: a session, or a compiled model, of the exported fp32 graph, with that many threads and nothing
  else said.
- ours: what `svertka.export(…, data=…)` chose, opened as `svertka predict` opens it. The score of weights that nobody
  has trained means nothing, so any drop is allowed here.

With --data, EfficientNet-Lite0 is fine-tuned on these class folders and exported as a user would, guard and all.

Two cores with AVX-512 and its dot products of 8 bits (VNNI) and of bf16, which OpenVINO uses unasked, --seconds 3:

    AMD EPYC, 2 threads; torch 2.14.1, onnxruntime 1.32.0, openvino 2026.4.1, nncf 3.4.0
    network              batch     eager  onnxruntime  openvino      ours  x eager  x best  ours is (milliseconds)
    resnet50                 1      85.0      46.4      24.0      13.8     6.15    1.74  openvino int8, pieces of 4
    resnet50                 8     630.6     365.9     184.5      97.9     6.44    1.89  openvino int8, pieces of 4
    mobilenet_v2             1      22.8       8.0       5.0       4.0     5.68    1.24  openvino int8, pieces of 4
    mobilenet_v2             8     149.6      48.0      26.7      16.3     9.17    1.64  openvino int8, pieces of 4
    vgg16                    1     227.1     170.2      85.9      43.8     5.18    1.96  openvino int8, pieces of 4
    vgg16                    8    1813.7    1232.7     585.6     305.5     5.94    1.92  openvino int8, pieces of 4
    googlenet                1      59.4      20.8      11.4       7.0     8.46    1.63  openvino int8, pieces of 4
    googlenet                8     387.4     125.3      67.6      36.5    10.60    1.85  openvino int8, pieces of 4
    densenet121              1      71.9      34.1      19.7      12.2     5.90    1.62  openvino int8, pieces of 4
    densenet121              8     440.2     282.9     147.1      72.3     6.09    2.03  openvino int8, pieces of 4
    squeezenet1_1            1      17.3       4.5       3.0       2.0     8.60    1.50  openvino int8, pieces of 4
    squeezenet1_1            8     107.0      39.8      26.5      10.7    10.02    2.48  openvino int8, pieces of 4
    efficientnet_lite0       1      21.7       6.4       4.2       3.2     6.77    1.30  openvino int8, pieces of 4
    efficientnet_lite0       8     229.8      45.2      23.3      17.0    13.52    1.37  openvino int8, pieces of 4
    inception_v3             1     111.7      62.8      31.5      18.2     6.13    1.73  openvino int8, pieces of 4
    inception_v3             8     758.4     428.4     216.1     110.2     6.88    1.96  openvino int8, pieces of 4
    batch 1: geometric mean 6.51 × eager; never below 1.24 × the best of the others
    batch 8: geometric mean 8.23 × eager; never below 1.37 × the best of the others

    sign-digits, EfficientNet-Lite0 fine-tuned, 414 images: accuracy .9538 in fp32
    onnxruntime fp32: .9538, batch 1 3.0 ms, batch 8 17.8 ms;  openvino fp32: .9538, 3.6 ms, 14.1 ms
    onnxruntime int8: .9562, 12.1 ms, 58.8 ms;                 openvino bf16: .9513, 2.0 ms, 7.6 ms
    openvino int8: .9562, no drop, 1.9 ms, 7.1 ms

Two cores with AVX2 alone: 3.92 × eager for one image, 4.59 × for eight, never below 1.36 × the best of the rest. There
8-bit dot products take two instructions for 32 products, where single precision takes two for 16: twice as fast as the
best engine in single precision is all that integers can be without VNNI, and DenseNet, Inception, ResNet and VGG are.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

BATCHES = (1, 8)
PEERS = ("eager", "onnxruntime", "openvino")
IMAGES = 32


@dataclass(frozen=True)
class Network:
    """A network of ours and the peer whose weights it takes."""

    library: str
    peer: str
    side: int = 224
    options: tuple[tuple[str, Any], ...] = ()


NETWORKS = {
    "resnet50": Network("torchvision", "resnet50"),
    "mobilenet_v2": Network("torchvision", "mobilenet_v2"),
    "vgg16": Network("torchvision", "vgg16"),
    "googlenet": Network("torchvision", "googlenet", options=(("aux_logits", False), ("init_weights", False))),
    "densenet121": Network("torchvision", "densenet121"),
    "squeezenet1_1": Network("torchvision", "squeezenet1_1"),
    "efficientnet_lite0": Network("timm", "tf_efficientnet_lite0"),
    "inception_v3": Network("torchvision", "inception_v3", 299, (("aux_logits", False), ("init_weights", False))),
}


def main() -> None:
    """Every network in a process of its own, then the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each engine and size of batch")
    parser.add_argument("--data", type=Path, help="class folders to fine-tune on, for the guard")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(race(given.one, given.threads, given.seconds)))
        return
    versions = {name: importlib.metadata.version(name) for name in ("torch", "onnxruntime", "openvino", "nncf")}
    print(f"{processor()}, {given.threads} threads; {', '.join(' '.join(pair) for pair in versions.items())}")
    print(
        f"{'network':<20} batch  "
        + "  ".join(f"{name:>11}" for name in (*PEERS, "ours"))
        + "  x eager  x best  ours is"
    )
    found = [measured(name, given.threads, given.seconds) for name in given.nets]
    for batch in BATCHES:
        eager = mean([row[str(batch)]["eager"] / row[str(batch)]["ours"] for row in found])
        worst = min(best_of_peers(row[str(batch)]) / row[str(batch)]["ours"] for row in found)
        print(f"batch {batch}: geometric mean {eager:.2f} × eager; never below {worst:.2f} × the best of the others")
    if given.data:
        guard(given.data, given.threads)


def measured(name: str, threads: int, seconds: float) -> dict[str, Any]:
    """Race one network in a process of its own, and print its lines."""
    command = [sys.executable, __file__, "--one", name, "--threads", str(threads), "--seconds", str(seconds)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    for batch in BATCHES:
        times = row[str(batch)]
        cells = "  ".join(f"{1000 * times[engine]:8.1f} ms" for engine in (*PEERS, "ours"))
        ratios = f"{times['eager'] / times['ours']:7.2f}  {best_of_peers(times) / times['ours']:6.2f}"
        print(f"{name:<20} {batch:>5}  {cells}  {ratios}  {row['chosen']}", flush=True)
    return row


def race(name: str, threads: int, seconds: float) -> dict[str, Any]:
    """Median seconds a batch by size of batch and engine, and what ours chose."""
    import onnxruntime
    import openvino
    import torch

    import svertka
    from svertka.deploy.onnx import onnx_bytes
    from svertka.deploy.timing import measure
    from svertka.runtime.engines import open_engine
    from svertka.zoo.modelfile import load_model

    torch.set_num_threads(threads)
    network = NETWORKS[name]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ["SVERTKA_CACHE"] = str(folder / "cache")
        model = folder / "model.safetensors"
        peer = write_models(name, network, model)
        write_images(folder / "images", network.side)
        exported = svertka.export(
            model, data=folder / "images", max_drop=100, threads=threads, out=folder / "ours.onnx", progress=False
        )
        engine, _ = open_engine(exported.model, threads=threads)
        (folder / "plain.onnx").write_bytes(onnx_bytes(*load_model(model)))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(folder / "plain.onnx", options, providers=["CPUExecutionProvider"])
        compiled = openvino.Core().compile_model(str(folder / "plain.onnx"), "CPU", {"INFERENCE_NUM_THREADS": threads})

        def eager(batch: Any) -> Any:
            with torch.inference_mode():
                return peer(torch.from_numpy(batch))

        runs: dict[str, Callable[[Any], object]] = {
            "eager": eager,
            "onnxruntime": lambda batch: session.run(None, {"images": batch}),
            "openvino": lambda batch: compiled(batch),
            "ours": engine.run,
        }
        examples = np.random.default_rng(0).normal(size=(8, 3, network.side, network.side)).astype(np.float32)
        expected = eager(examples).numpy()
        apart = np.abs(session.run(None, {"images": examples})[0] - expected).max() / max(1, np.abs(expected).max())
        assert apart < 1e-4, f"{name}: not the same network ({apart})"
        timings = {batch: measure(runs, examples, batch=batch, seconds=seconds) for batch in BATCHES}
    assert exported.deployment is not None
    chosen = exported.deployment
    pieces = f", pieces of {chosen.piece}" if chosen.piece else ""
    found: dict[str, Any] = {str(batch): {run: timings[batch][run].p50 for run in runs} for batch in BATCHES}
    return {**found, "chosen": f"{chosen.engine} {chosen.precision}{pieces}"}


def write_models(name: str, network: Network, path: Path) -> Any:
    """The peer, with statistics of noise in its normalisations; and its weights as a model file of ours."""
    import torch

    from svertka.runtime.preprocess import Preprocess
    from svertka.zoo.adoption import write_model
    from svertka.zoo.checkpoints import read_checkpoint
    from svertka.zoo.conversion import convert

    torch.manual_seed(0)
    if network.library == "timm":
        import timm

        peer = timm.create_model(network.peer, pretrained=False)
    else:
        import torchvision

        peer = torchvision.models.get_model(network.peer, weights=None, **dict(network.options))
    with torch.no_grad():
        peer.train()(torch.randn(8, 3, network.side, network.side))
    checkpoint = path.with_suffix(".pth")
    torch.save(peer.state_dict(), checkpoint)
    write_model(
        path,
        convert(name, network.library, read_checkpoint(checkpoint)),
        classes=[str(number) for number in range(1000)],
        preprocess=Preprocess(
            height=network.side, width=network.side, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
        ),
        licence="CC0-1.0",
        provenance={},
        metrics={},
    )
    return peer.eval()


def write_images(folder: Path, side: int) -> None:
    """Blurred noise in two class folders."""
    rng = np.random.default_rng(0)
    for number in range(IMAGES):
        place = folder / str(number % 2)
        place.mkdir(parents=True, exist_ok=True)
        noise = Image.fromarray(rng.integers(0, 256, (side // 8, side // 8, 3), np.uint8))
        noise.resize((side, side), Image.Resampling.BICUBIC).save(place / f"{number}.png")


def guard(data: Path, threads: int) -> None:
    """Fine-tune a network with real weights, export it, and print what came of every engine and precision."""
    import svertka

    with tempfile.TemporaryDirectory() as place:
        run = Path(place, "run")
        svertka.train(data, weights="efficientnet_lite0", budget=60, out=run, progress=False, seed=0)
        exported = svertka.export(run, data=data, threads=threads, progress=False)
        measured = exported.measured
        assert measured is not None
        print(f"\n{data.name}, EfficientNet-Lite0 fine-tuned: {measured['metric']} {measured['score']:.4f} in fp32")
        for trial in measured["trials"]:
            times = ", ".join(f"batch {item['batch']} {1000 * item['p50']:.1f} ms" for item in trial["timings"])
            score = "" if trial["score"] is None else f"{trial['score']:.4f}, drop {trial['drop']:.2f} points; "
            print(f"{trial['engine']} {trial['precision']}: {score}{times}; {trial['refused'] or 'taken'}")
        assert svertka.verify(exported.model).ok


def best_of_peers(times: dict[str, float]) -> float:
    """The time of the fastest that is not ours."""
    return min(times[name] for name in PEERS)


def mean(ratios: list[float]) -> float:
    """The geometric mean."""
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def processor() -> str:
    """What the system calls this processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "this processor")


if __name__ == "__main__":
    main()
