"""Nothing leaves this machine: training opens no connection, asks for no name, and needs no network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

GUARD = """
import os, socket, sys

def guard(event, arguments):
    if event.startswith("socket.") and event not in ("socket.__new__", "socket.gethostname"):
        if event in ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"):
            if arguments[0].family == socket.AF_UNIX:
                return
        with open(os.environ["GUARD_LOG"], "a") as log:
            log.write(f"{event} {arguments}\\\\n")
        raise OSError("the network is blocked")

sys.addaudithook(guard)
"""


def test_the_guard_guards(tmp_path: Path) -> None:
    code = "import socket; socket.create_connection(('127.0.0.1', 9))"
    done = guarded([sys.executable, "-c", code], tmp_path)
    assert "the network is blocked" in done.stderr
    assert (tmp_path / "log").read_text().startswith("socket.getaddrinfo")


def test_training_opens_no_connection(few_digits: Path, plain: tuple[str, ...], tmp_path: Path) -> None:
    recipe = ("--net", "perceptron", "--epochs", "1", "--workers", "1", *plain)
    command = [sys.executable, "-m", "svertka", "train", str(few_digits), "--out", str(tmp_path / "run"), *recipe]
    done = guarded([*_alone(), *command, "--json"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["judged_on"] == "val"
    assert not (tmp_path / "log").exists()


def guarded(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command whose Python processes cannot reach any network, and note each attempt in ``log``."""
    (folder / "sitecustomize.py").write_text(GUARD)
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "GUARD_LOG": str(folder / "log"),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)


def _alone() -> list[str]:
    # Where it is allowed, code that is not Python has no network either.
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-rn", "true"], capture_output=True, check=False).returncode:
        return []
    return [unshare, "-rn"]
