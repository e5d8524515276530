"""What the base install weighs, and how soon it answers: a venv of its own, without PyTorch.

    make base

installs this clone without extras into a new venv, exports EfficientNet-Lite0 from the environment that runs this, and
lets `svertka predict` there say what is in one photograph-sized image, from the start of the process to its end. More
than 200 MB (of 2^20 bytes, Python's compiled files among them) end with status 1; seconds are printed, since they
depend on the machine.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
MB = 2**20
MOST = 200 * MB
TOOLS = ("pip", "setuptools", "pkg_resources", "_distutils_hack")
CALLS = 7


def main() -> None:
    """Install, weigh, export, ask."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        python = install(folder / "venv")
        packages = weigh(folder / "venv")
        total = sum(packages.values())
        for name, size in sorted(packages.items(), key=lambda item: -item[1])[:8]:
            print(f"{size / MB:8.1f} MB  {name}")
        print(f"{total / MB:8.1f} MB  in all")
        export(folder / "model.onnx")
        noise = np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8)
        Image.fromarray(noise).resize((1600, 1200)).save(folder / "image.jpg")
        seconds = [ask(python, folder) for _ in range(CALLS)]
        print(f"first answer: {statistics.median(seconds):.2f} s (median of {CALLS}; the slowest {max(seconds):.2f} s)")
    if total > MOST:
        sys.exit(f"the base install is larger than {MOST / MB:.0f} MB")


def install(folder: Path) -> Path:
    """The Python of a new venv with the base install."""
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", str(ROOT)], check=True)
    return python


def weigh(folder: Path) -> dict[str, int]:
    """Bytes of every package, without what pip itself needs."""
    (packages,) = folder.glob("lib/python*/site-packages")
    sizes: dict[str, int] = {}
    for file in packages.rglob("*"):
        name = file.relative_to(packages).parts[0].partition("-")[0]
        if file.is_file() and name not in TOOLS:
            sizes[name] = sizes.get(name, 0) + file.stat().st_size
    return sizes


def export(path: Path) -> None:
    """EfficientNet-Lite0 with ten classes and random weights."""
    import svertka
    from svertka.runtime.preprocess import Preprocess
    from svertka.zoo import registry
    from svertka.zoo.adoption import write_model
    from svertka.zoo.conversion import Converted

    arguments = {"classes": 10, "in_channels": 3}
    write_model(
        path.with_suffix(".safetensors"),
        Converted(
            "efficientnet_lite0", "noise", arguments, registry.build("efficientnet_lite0", arguments).state_dict()
        ),
        classes=[str(number) for number in range(10)],
        preprocess=Preprocess(height=224, width=224),
        licence="CC0-1.0",
        provenance={},
        metrics={},
    )
    svertka.export(path.with_suffix(".safetensors"), out=path)


def ask(python: Path, folder: Path) -> float:
    """Seconds from the start of a process to its answer."""
    command = [python, "-m", "svertka", "predict", str(folder / "model.onnx"), str(folder / "image.jpg")]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    seconds = time.perf_counter() - started
    assert "image.jpg: " in done.stdout, done.stdout + done.stderr
    return seconds


if __name__ == "__main__":
    main()
