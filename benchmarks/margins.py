"""How far figures that tests compare with are from what is measured, over seeds and instruction sets.

python benchmarks/margins.py tests/end_to_end/test_masks.py            seeds 0 to 4, with all that the processor has
python benchmarks/margins.py tests/end_to_end/test_commands.py --seeds 0 --isa avx2 avx512 all

The demo of the tests, 8 epochs, seeds 0 to 5, accuracy on 360 images:
    SSE 4.1  0.967 0.986 0.983 0.983 0.983 0.986
    AVX2     0.972 0.986 0.989 0.983 0.981 0.989
    AVX-512  0.967 0.986 0.989 0.986 0.983 0.986
    AMX      0.967 0.986 0.989 0.986 0.983 0.986
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
ISAS = {
    "sse": {"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default"},
    "avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
    "avx512": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "ATEN_CPU_CAPABILITY": "avx512"},
    "all": {},
}
_LOG, _SEED = "SVERTKA_MARGINS_LOG", "SVERTKA_MARGINS_SEED"  # what this module is told as a plugin of pytest
_FIGURE = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def pytest_configure() -> None:
    """Let every recipe that names no seed have that of this run."""
    from svertka.training.recipe import Recipe

    seed = int(os.environ[_SEED])
    Recipe.__init__.__kwdefaults__["seed"] = seed
    type.__setattr__(Recipe, "seed", seed)


def pytest_assertion_pass(item: Any, lineno: int, orig: str, expl: str) -> None:
    """Note a comparison with a figure that has held."""
    if _compares(orig):
        _note(item.nodeid, lineno, orig, expl.splitlines()[0])


def pytest_runtest_logreport(report: Any) -> None:
    """Note what has failed."""
    if report.failed:
        _note(report.nodeid, 0, "FAILED", str(report.longrepr).splitlines()[-1])


def _compares(text: str) -> bool:
    nodes = list(ast.walk(ast.parse(text.strip().split("  #")[0], mode="eval")))
    orders = any(isinstance(node, ast.Lt | ast.LtE | ast.Gt | ast.GtE) for node in nodes)
    return orders and any(isinstance(node, ast.Constant) and isinstance(node.value, float) for node in nodes)


def _note(*line: object) -> None:
    with Path(os.environ[_LOG]).open("a") as log:
        log.write(json.dumps(line) + "\n")


def main() -> None:
    """Run the tests and print a line for each comparison: what it is, and what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tests", nargs="+")
    parser.add_argument("--seeds", nargs="+", default=["0", "1", "2", "3", "4"])
    parser.add_argument("--isa", nargs="+", choices=ISAS, default=["all"])
    given = parser.parse_args()
    found: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        for isa in given.isa:
            for seed in given.seeds:
                log = Path(folder, f"{isa}-{seed}")
                path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
                environment = {**os.environ, **ISAS[isa], _LOG: str(log), _SEED: seed, "PYTHONPATH": path}
                options = ["-p", "margins", "-o", "enable_assertion_pass_hook=true", "-p", "no:cacheprovider", "-q"]
                subprocess.run(
                    [sys.executable, "-m", "pytest", *options, *given.tests], cwd=ROOT, env=environment, check=False
                )
                for line in log.read_text().splitlines() if log.exists() else ():
                    *place, measured = json.loads(line)
                    found[tuple(place)].append(next(iter(_FIGURE.findall(measured)), measured))
    for (test, number, text), values in sorted(found.items()):
        print(f"{test}:{number}  {text}\n    {' '.join(values)}")


if __name__ == "__main__":
    main()
