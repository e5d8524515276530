"""No command writes into the user's home or asks for the network, nor does any native code that it brings with it.

Every command runs in a home that is empty, without a network, under a tracer of system calls, and its process lives on
for a while: reports are sent later, and from threads that Python knows nothing of.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

LIFE = 30.0  # seconds
TOGETHER = 8  # processes
# A server is ended as a terminal ends it; all others stay when they are done.
LIVING = """
import os, signal, sys, threading, time
end = time.monotonic() + float(sys.argv[1])
life, *sys.argv = [float(sys.argv[1]), "svertka", *sys.argv[2:]]
if sys.argv[1] == "serve":
    threading.Timer(life, os.kill, (os.getpid(), signal.SIGTERM)).start()
from svertka.cli import main
try:
    main()
finally:
    time.sleep(max(0.0, end - time.monotonic()))
"""
SENDING = ("connect", "sendto", "sendmsg", "sendmmsg")
MAKING = ("open", "openat", "creat", "mkdir", "mkdirat")
NAMING = ("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat")
TRACED = ",".join(f"?{name}" for name in (*SENDING, *MAKING, *NAMING))  # not every processor has them all
FLAGS = ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC")
NAMES = (
    *("train", "predict", "evaluate", "verify", "export", "explain", "serve", "bench", "prune", "compare", "check"),
    *("convert", "adopt", "diagnose", "nets", "demo"),
)


class Observed(NamedTuple):
    """What a command did.

    Attributes:
        status: Its exit status.
        err: What it wrote on standard error.
        folder: With ``home``, ``tmp``, ``cache`` and ``out``.
        calls: System calls, where there is a tracer.
    """

    status: int
    err: str
    folder: Path
    calls: list[str]


@pytest.fixture(scope="module")
def observed(
    digits: Path,
    few_digits: Path,
    trained: tuple[Path, Any],
    plain: tuple[str, ...],
    svertka_call: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Observed]:
    """What each command did."""
    if sys.platform != "linux":
        pytest.skip("what reports is known on Linux, and so is the tracer")
    root = tmp_path_factory.mktemp("observed")
    run, image = shutil.copytree(trained[0], root / "run"), next(few_digits.rglob("*.png"))
    graph, checkpoint = root / "graph.onnx", root / "theirs.pt"
    answer = svertka_call("export", run, "--out", graph)
    assert answer.status == 0, answer.err
    _write_checkpoint(checkpoint)
    quick = ("--epochs", 1, "--augment", "none", *plain)
    commands: dict[str, tuple[object, ...]] = {
        "train": (few_digits, "--net", "perceptron", *quick, "--workers", 1, "--out", "out/run"),
        "predict": (graph, image, "--out", "out/predicted"),
        "evaluate": (graph, few_digits, "--part", "all"),
        "verify": (graph,),
        "export": (run, "--data", few_digits, "--max-drop", 100, "--threads", 1, "--out", "out/int8.onnx"),
        "explain": (run, image, "--out", "out/explained", "--method", "all"),
        "serve": (graph, "--port", 0),
        "bench": (graph, "--batch", 1, "--threads", 1, "--seconds", 0.01),
        "prune": (run, few_digits, "--out", "out/pruned", "--macs", 0.8, "--steps", 1, "--epochs", 1),
        "compare": (few_digits, "--weights", run, "--net", "perceptron", "--budget", 1, "--out", "out/compared"),
        "check": (digits, "--labels", "--out", "out/checked"),
        "convert": (few_digits, "out/csv", "--format", "csv"),
        "adopt": (checkpoint, "--net", "squeezenet1_1", "--licence", "CC0-1.0", "--out", "out/adopted.safetensors"),
        "diagnose": (run, "--out", "out/diagnosed"),
        "nets": ("lenet5", "--svg", "out/lenet5.svg"),
        "demo": ("--out", "out/demo"),
    }
    assert tuple(sorted(commands)) == tuple(sorted(NAMES))
    with ThreadPoolExecutor(TOGETHER) as pool:
        slow_first = sorted(commands, key=lambda name: name not in ("demo", "compare", "export", "explain", "prune"))
        found = pool.map(lambda name: _observe(root / name, [name, *map(str, commands[name])]), slow_first)
        return dict(zip(slow_first, found, strict=True))


def _write_checkpoint(path: Path) -> None:
    import torch
    from torchvision import models

    torch.manual_seed(0)
    torch.save(models.squeezenet1_1(weights=None, num_classes=3).state_dict(), path)


def _observe(folder: Path, command: list[str]) -> Observed:
    places = {name: folder / name for name in ("home", "tmp", "cache", "out")}
    for place in places.values():
        place.mkdir(parents=True)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(places["home"]),
        "TMPDIR": str(places["tmp"]),
        "SVERTKA_CACHE": str(places["cache"]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
    }
    calls = folder / "calls"
    tracer = _tracer()
    if tracer:
        tracer += ["-qq", "-s", "4096", "-e", f"trace={TRACED}", "-e", "signal=none", "-o", str(calls)]
    done = subprocess.run(
        [*_alone(), *tracer, sys.executable, "-c", LIVING, str(LIFE), *command],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=480,
        check=False,
    )
    return Observed(done.returncode, done.stderr, folder, calls.read_text().splitlines() if calls.exists() else [])


def _alone() -> list[str]:
    return ["unshare", "-rn"] if _runs("unshare", "-rn", "true") else []


def _tracer() -> list[str]:
    """The tracer of system calls, which stops at those alone that are traced where the kernel can tell; or nothing."""
    ways = (["strace", "-f", "--seccomp-bpf"], ["strace", "-f"])
    return next((list(way) for way in ways if _runs(*way, "-e", "trace=openat", "-o", os.devnull, "true")), [])


def _runs(tool: str, *arguments: str) -> bool:
    return bool(shutil.which(tool)) and not subprocess.run([tool, *arguments], capture_output=True).returncode


@pytest.mark.parametrize("name", NAMES)
def test_a_command_leaves_nothing_in_the_home_nor_among_temporary_files(
    name: str, observed: dict[str, Observed]
) -> None:
    done = observed[name]
    assert done.status in ((0, 1) if name in ("check", "diagnose") else (0,)), done.err
    for place in ("home", "tmp"):
        assert not [str(path) for path in (done.folder / place).rglob("*")]


@pytest.mark.parametrize("name", NAMES)
def test_a_command_asks_for_no_network(name: str, observed: dict[str, Observed]) -> None:
    if not _tracer():
        pytest.skip("no strace here, or it may not trace")
    done = observed[name]
    assert done.calls
    assert not [call for call in done.calls if "AF_INET" in call]


@pytest.mark.parametrize("name", NAMES)
def test_a_command_writes_nowhere_else(name: str, observed: dict[str, Observed]) -> None:
    if not _tracer():
        pytest.skip("no strace here, or it may not trace")
    folder = observed[name].folder
    allowed = (*(folder / place for place in ("tmp", "cache", "out")), Path("/dev"), Path("/proc"))
    written = {folder / path for call in observed[name].calls for path in _written(call)}
    assert not [str(path) for path in written if not any(path.is_relative_to(place) for place in allowed)]


def _written(call: str) -> Iterator[str]:
    """The paths that a system call writes to; of one that failed, none."""
    found = re.match(r"\d+ +(\w+)\((.*)", call)
    if not found or re.search(r"\) = -1 E", call) or found[1] in SENDING:
        return
    if found[1] in ("open", "openat") and not any(flag in call for flag in FLAGS):
        return
    paths = re.findall(r'"((?:[^"\\]|\\.)*)"', found[2])
    yield from paths[-1:] if "link" in found[1] else paths  # what a link leads to is not written to


def test_the_tracer_sees_what_must_not_be(tmp_path: Path) -> None:
    if not _tracer():
        pytest.skip("no strace here, or it may not trace")
    code = "import socket, pathlib, os\ntry: socket.create_connection(('192.0.2.1', 9), 0.1)\nexcept OSError: pass\n"
    code += f"pathlib.Path({str(tmp_path / 'stray')!r}).write_text('')"
    calls = tmp_path / "calls"
    subprocess.run(
        [*_alone(), *_tracer(), "-qq", "-e", f"trace={TRACED}", "-o", str(calls), sys.executable, "-c", code],
        check=True,
    )
    lines = calls.read_text().splitlines()
    assert [call for call in lines if "AF_INET" in call]
    assert str(tmp_path / "stray") in {path for call in lines for path in _written(call)}
