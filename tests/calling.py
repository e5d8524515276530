"""Two ways to give a command: in this process, or in one that can be killed."""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import svertka.cli


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    status: int | None
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on standard output."""
        return json.loads(self.out)


def call(*arguments: object) -> Answer:
    """Give a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = svertka.cli.run([str(argument) for argument in arguments])
    return Answer(status, out.getvalue(), err.getvalue())


# Runs in a process forked from one that has imported torch already, since that import takes seconds.
_CHILD = """
import multiprocessing, os, resource, sys
multiprocessing.set_start_method(None, force=True)  # workers start as they do elsewhere
os.setpgid(0, 0)
for number, place in enumerate((out, err), 1):
    os.dup2(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
os.chdir(folder)
os.environ.update(environment)
if bytes_a_file:
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_a_file, bytes_a_file))
sys.argv = [script or "svertka", *arguments]
if script:
    import runpy
    runpy.run_path(script, run_name="__main__")
else:
    from svertka.cli import main
    main()
"""
_IMPORTED = (
    "pytest",
    "lightning_fabric",
    "sklearn.metrics",
    "safetensors.torch",
    "torch._dynamo",
    "torch.utils.tensorboard",
    "svertka.cli.train",
    "svertka.data.preparing",
    "svertka.data.batching.batches",
    "svertka.tasks.classification",
    "svertka.training.loop",
    "svertka.training.speed",
    "svertka.commands.train.page",
    "svertka.zoo.modelfile",
)


class Running:
    """A command that runs in a process of its own."""

    def __init__(self, process: Any, out: Path, err: Path) -> None:
        self._process, self._out, self._err = process, out, err

    @property
    def alive(self) -> bool:
        return bool(self._process.is_alive())

    def signal(self, number: signal.Signals, *, group: bool = False) -> None:
        """Send a signal to the process, or, as a terminal does, to all that it started too."""
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self._process.pid, number)

    def wait(self, seconds: float = 60) -> Answer:
        """What it said; a negative status is the signal that ended it."""
        self._process.join(seconds)
        if self.alive:
            self.signal(signal.SIGKILL, group=True)
            pytest.fail(f"still running after {seconds} s; {self.err}")
        return Answer(self._process.exitcode, self._out.read_text(), self.err)

    @property
    def err(self) -> str:
        return self._err.read_text()

    def wait_until(self, ready: Callable[[], object], seconds: float = 60) -> None:
        """Wait until something is so, or the process has ended."""
        stop = time.monotonic() + seconds
        while not ready() and self.alive:
            if time.monotonic() > stop:
                pytest.fail(f"not so after {seconds} s; {self.err}")
            time.sleep(0.0003)


@contextlib.contextmanager
def starting(folder: Path) -> Iterator[Callable[..., Running]]:
    """Give a function that starts commands, or other scripts, each in a process of its own.

    Args:
        folder: For what they say.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_IMPORTED))
    started: list[Running] = []

    def run(
        *arguments: object,
        cwd: Path | None = None,
        bytes_a_file: int = 0,
        environment: dict[str, str] | None = None,
        script: Path | None = None,
    ) -> Running:
        out, err = folder / f"{len(started)}.out", folder / f"{len(started)}.err"
        values = {
            "arguments": [str(argument) for argument in arguments],
            "out": str(out),
            "err": str(err),
            "folder": str(cwd or Path.cwd()),
            "bytes_a_file": bytes_a_file,
            "environment": environment or {},
            "script": script and str(script),
        }
        for path in (out, err):
            path.touch()
        process = context.Process(target=exec, args=(_CHILD, values))
        process.start()
        started.append(Running(process, out, err))
        return started[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        context.Process(target=int).start()  # the server reads its environment now
    yield run
    for running in started:
        if running.alive:
            running.signal(signal.SIGKILL, group=True)
