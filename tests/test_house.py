"""The house: what may import what, how much a page may hold, and what the public names are."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import os
import pkgutil
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

import svertka
from svertka.task_records.record import records

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


BREACHES = {
    "ground": ("errors.py", "import svertka.results"),
    "results": ("results/__init__.py", "import svertka.runtime.card"),
    "runtime": ("runtime/card.py", "def f():\n    import torch"),
    "layers": ("layers/net.py", "import svertka.runtime.card"),
    "nets": ("nets/lenet.py", "import svertka.zoo"),
    "nets-apart": ("nets/lenet.py", "import svertka.nets.mlp"),
    "zoo": ("zoo/measure.py", "import svertka.tasks.task"),
    "data": ("data/samples.py", "import svertka.zoo.registry"),
    "tasks": ("tasks/task.py", "import svertka.training.loop"),
    "training": ("training/loop.py", "import svertka.data.batching.batches"),
    "deploy": ("deploy/timing.py", "import svertka.report.page"),
    "explaining": ("explaining/gradcam.py", "import svertka.layers.trunk"),
    "explaining-above": ("training/ema.py", "import svertka.explaining.gradcam"),
    "report": ("report/page.py", "import svertka.tasks.task"),
    "serving": ("serving/pipeline.py", "def f():\n    import torch"),
    "workflows": ("workflows/models.py", "import svertka.commands.predict.command"),
    "commands": ("commands/train/command.py", "import svertka.cli"),
    "commands-apart": ("commands/prune/command.py", "import svertka.commands.export.command"),
    "circles": (
        "results/colours.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from svertka.results.boxes import Detection",
    ),
    "tasks-registered": ("workflows/images.py", "import svertka.tasks.detection"),
    "cli": ("cli/train.py", "import svertka.runtime.card"),
    "engines": ("deploy/timing.py", "import onnxruntime"),
}
"""For each import contract, by its id: a file below ``src/svertka``, and a line that breaks it there."""


def broken_contracts(folder: Path, breaches: Mapping[str, tuple[str, str]]) -> set[str]:
    """The contracts that are broken once these lines are planted in a copy of the sources."""
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for path, line in breaches.values():
        target = folder / "src/svertka" / path
        target.write_text(f"{target.read_text()}\n{line}\n")
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder / "src"), "NO_COLOR": "1", "COLUMNS": "300"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Contracts" in done.stdout, done.stdout + done.stderr
    found = {line.partition(" BROKEN")[0] for line in done.stdout.splitlines() if " BROKEN" in line}
    assert done.returncode == (1 if found else 0)
    return {name for name, title in CONTRACTS.items() if title in found}


CONTRACTS = {
    contract["id"]: contract["name"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
}


def test_every_package_keeps_to_its_imports(tmp_path: Path) -> None:
    assert broken_contracts(tmp_path, {}) == set()


def test_every_import_contract_can_be_broken(tmp_path: Path) -> None:
    assert BREACHES.keys() == CONTRACTS.keys()
    assert broken_contracts(tmp_path, BREACHES) == CONTRACTS.keys()


def test_a_circle_that_only_annotations_close_is_found(tmp_path: Path) -> None:
    assert broken_contracts(tmp_path, {"circles": BREACHES["circles"]}) == {"circles"}


def test_every_public_name_is_there_and_documented() -> None:
    assert svertka.__all__ == sorted(svertka.__all__)
    for name in svertka.__all__:
        thing = getattr(svertka, name)
        assert thing.__name__ == name
        assert inspect.getdoc(thing), name
        if inspect.isfunction(thing) and name not in ("open_dataset", "register"):
            assert thing.__module__.startswith("svertka.commands."), name


def test_everything_public_is_documented() -> None:
    modules = [importlib.import_module(found.name) for found in pkgutil.walk_packages(svertka.__path__, "svertka.")]
    assert not [name for module in modules for name in undocumented(module)]


def undocumented(module: ModuleType) -> Iterator[str]:
    """Public classes, functions, methods and properties without a docstring, be it of a base."""
    for name, thing in vars(module).items():
        if name.startswith("_") or getattr(thing, "__module__", "") != module.__name__:
            continue
        if (inspect.isclass(thing) or inspect.isfunction(thing)) and not inspect.getdoc(thing):
            yield f"{module.__name__}.{name}"
        for inner, member in vars(thing).items() if inspect.isclass(thing) else ():
            called = inspect.isroutine(member) or isinstance(member, property | functools.cached_property)
            if called and not inner.startswith("_") and not inspect.getdoc(inspect.getattr_static(thing, inner)):
                bases = [vars(base)[inner] for base in thing.__mro__ if inner in vars(base)]
                if not any(map(inspect.getdoc, bases)):
                    yield f"{module.__name__}.{name}.{inner}"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'svertka' has no attribute 'trian'"):
        svertka.trian  # noqa: B018


def test_every_module_says_what_it_is_for() -> None:
    assert SOURCES
    assert not [path for path in SOURCES if not path.read_text().startswith('"""')]


def test_no_file_is_over_400_lines() -> None:
    assert not {path.name: count for path in SOURCES if (count := len(path.read_text().splitlines())) > 400}


def test_no_function_is_over_60_lines() -> None:
    long = {
        (path.relative_to(ROOT / "src/svertka").as_posix(), node.name)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (node.end_lineno or 0) - node.lineno >= 60
    }
    assert not long


OWN = ("tasks/", "task_records/", "runtime/decoders/")
"""Where a task may be named."""


def test_no_file_outside_its_own_names_a_task() -> None:
    tasks = {record.name for record in records()}
    places = {path: path.relative_to(ROOT / "src/svertka").as_posix() for path in SOURCES}
    assert not {
        place: found
        for path, place in places.items()
        if not place.startswith(OWN) and (found := tasks & {*named(ast.parse(path.read_text()), place)})
    }


def named(tree: ast.AST, place: str) -> Iterator[str]:
    """In small letters, what is imported, attributes, and texts; these last not in ``data``: COCO has such a key."""
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), names=names):
                yield from module.split(".")
                yield from (alias.name.lower() for alias in names if not module.startswith("svertka.results"))
            case ast.Import(names=names):
                yield from (word for alias in names for word in alias.name.split("."))
            case ast.Attribute(attr=name):
                yield name.lower()
            case ast.Constant(value=str(text)) if not place.startswith("data/"):
                yield text


@pytest.mark.parametrize(
    "line",
    [
        "import svertka.tasks.segmentation",
        "from svertka.tasks.segmentation import made",
        "from svertka.tasks import Segmentation",
        "tasks.Segmentation()",
        'card.task == "segmentation"',
    ],
)
def test_a_named_task_is_found(line: str) -> None:
    assert "segmentation" in named(ast.parse(line), "report/page.py")
    assert "segmentation" not in named(ast.parse("from svertka.results import Segmentation"), "report/page.py")


def test_nothing_is_left_for_later() -> None:
    words = ("TO" + "DO", "FIX" + "ME", "X" * 3 + ":", "break" + "point(")
    files = [path for folder in ("src", "tests") for path in (ROOT / folder).rglob("*.py")]
    assert not [path for path in files for word in words if word in path.read_text()]
