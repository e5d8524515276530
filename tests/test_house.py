"""The house: what may import what, how much a page may hold, and what the public names are."""

from __future__ import annotations

import inspect
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import svertka

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
HEAVY = ("torch", "torchvision", "sklearn", "matplotlib", "lightning_fabric", "onnx", "openvino")


def loaded_by(program: str, *arguments: str) -> set[str]:
    """Which of the heavy packages a fresh interpreter holds after the program."""
    told = f"{program}\nimport sys\nprint('loaded', *[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", told, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split()[1:])


def test_the_check_of_what_is_loaded_can_fail() -> None:
    assert loaded_by("import matplotlib") == {"matplotlib"}


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_by("import svertka") == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["train", "--help"],
        ["compare", "--help"],
        ["explain", "--help"],
        ["serve", "--help"],
        ["nets"],
        [],
    ],
    ids=" ".join,
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    program = "import sys\nfrom svertka.cli import run\nassert run(sys.argv[1:]) == 0"
    assert loaded_by(program, *arguments) == set()


def test_predicting_loads_nothing_heavy(tiny_onnx: Path, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((9, 7, 3), np.uint8)).save(tmp_path / "image.png")
    program = """
import sys
from pathlib import Path
from svertka.runtime.engines import OnnxRuntimeEngine
from svertka.runtime.image import read_image
from svertka.runtime.predictor import Predictor
engine = OnnxRuntimeEngine(Path(sys.argv[1]))
(result,) = Predictor(engine, engine.card).predict([read_image(Path(sys.argv[2]))])
result.draw(read_image(Path(sys.argv[2])))
"""
    assert loaded_by(program, str(tiny_onnx), str(tmp_path / "image.png")) == set()


def plant(line: str, path: str) -> Callable[[Path], None]:
    def planted(src: Path) -> None:
        target = src / "svertka" / path
        target.write_text(f"{target.read_text()}\n{line}\n")

    return planted


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (lambda _: None, None),
        (plant("import svertka.zoo", "nets/lenet.py"), "networks stand on layers"),
        (plant("import svertka.nets.mlp", "nets/lenet.py"), "one paper, one file"),
        (plant("def f():\n    import torch", "runtime/card.py"), "the runtime stands on results, and knows no torch"),
        (plant("import svertka.training.loop", "tasks/task.py"), "tasks stand on results"),
        (plant("import svertka.cli", "verbs/train.py"), "verbs do not know the command line"),
        (plant("import svertka.layers.trunk", "explaining/gradcam.py"), "explaining is handed module"),
        (plant("import svertka.explaining.gradcam", "training/loop.py"), "only verbs explain"),
        (plant("import svertka.zoo", "serving/app.py"), "serving stands on results and the runtime"),
        (plant("def f():\n    import torch", "serving/pipeline.py"), "serving stands on results and the runtime"),
        (plant("import svertka.results", "errors.py"), "errors, annotations, exhibits and wording stand on nothing"),
    ],
    ids=[
        "as it is",
        "net on zoo",
        "net on net",
        "torch",
        "task on training",
        "verb on cli",
        "explaining on layers",
        "training on explaining",
        "serving on zoo",
        "serving on torch",
        "ground",
    ],
)
def test_the_rooms_keep_to_their_imports_and_the_check_can_fail(
    tmp_path: Path, change: Callable[[Path], None], broken: str | None
) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    change(tmp_path / "src")
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "src"), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Contracts" in done.stdout, done.stdout + done.stderr
    found = [line.removesuffix(" BROKEN") for line in done.stdout.splitlines() if line.endswith(" BROKEN")]
    assert done.returncode == (1 if broken else 0), found
    assert any(name.startswith(broken) for name in found) if broken else not found


def test_every_public_name_is_there_and_documented() -> None:
    assert svertka.__all__ == sorted(svertka.__all__)
    for name in svertka.__all__:
        thing = getattr(svertka, name)
        assert thing.__name__ == name
        assert inspect.getdoc(thing), name
        if inspect.isfunction(thing):
            assert thing.__module__.startswith("svertka.verbs."), name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'svertka' has no attribute 'trian'"):
        svertka.trian  # noqa: B018


def test_every_module_says_what_it_is_for() -> None:
    assert SOURCES
    assert not [path for path in SOURCES if not path.read_text().startswith('"""')]


def test_no_file_is_over_400_lines() -> None:
    assert not {path.name: count for path in SOURCES if (count := len(path.read_text().splitlines())) > 400}


def test_nothing_is_left_for_later() -> None:
    words = ("TO" + "DO", "FIX" + "ME", "X" * 3 + ":", "break" + "point(")
    files = [path for folder in ("src", "tests") for path in (ROOT / folder).rglob("*.py")]
    assert not [path for path in files for word in words if word in path.read_text()]
