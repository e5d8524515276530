"""OpenVINO in the process that we are: it reports to nobody, and signals come through."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from svertka.runtime.openvino_core import without_reports

SIGNALS = """
import signal, sys
from pathlib import Path
from svertka.runtime.engines import OpenVinoEngine

class Asked(Exception): ...

def handle(number, frame):
    raise Asked

signal.signal(signal.SIGINT, handle)
first, second = (OpenVinoEngine(Path(sys.argv[1])) for _ in range(2))
del first  # in the order in which they began
del second
try:
    signal.raise_signal(signal.SIGINT)
except Asked:
    print("heard")
"""

REPORTS = """
import sys
from pathlib import Path
from svertka.runtime.engines import OpenVinoEngine
OpenVinoEngine(Path(sys.argv[1]))
print("openvino" in sys.modules, "openvino_telemetry" in sys.modules)
"""


def test_ctrl_c_is_heard_when_engines_have_come_and_gone(tiny_onnx: Path) -> None:
    assert _in_a_process_of_its_own(SIGNALS, tiny_onnx) == ["heard"]


def test_importing_it_is_reported_to_nobody(tiny_onnx: Path) -> None:
    assert _in_a_process_of_its_own(REPORTS, tiny_onnx) == ["True", "False"]


def test_threads_do_not_let_in_what_another_keeps_out() -> None:
    name = "openvino_telemetry"
    before = name in sys.modules

    def look(_: int) -> bool:
        with without_reports():
            time.sleep(0)  # another thread's turn
            return sys.modules[name] is None  # type: ignore[comparison-overlap]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(look, range(400)))
    assert (name in sys.modules) == before


def _in_a_process_of_its_own(program: str, graph: Path) -> list[str]:
    pytest.importorskip("openvino")
    # It keeps quiet of itself where it believes to be tested.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CI", "PYTEST", "GITHUB"))}
    command = [sys.executable, "-c", program, str(graph)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout.split()
