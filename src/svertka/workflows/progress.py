"""Progress on standard error: a live bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from svertka.errors import harmless
from svertka.wording import inflected, rate_text

if TYPE_CHECKING:
    from svertka.training.contracts import Batches

_SCORES = 2  # of an epoch's line


class Display:
    """Shows how a command goes; satisfies `svertka.training.loop.Watcher`.

    Args:
        show: Whether to show anything but warnings.
        epochs: Epochs of the training that is watched.
        batch: Samples a batch.
        media: What is read and learnt from, in a word.
    """

    def __init__(self, *, show: bool, epochs: int = 0, batch: int = 0, media: str = "image") -> None:
        self.console = Console(stderr=True, highlight=False)
        self.show = show
        self.epochs, self.batch, self.media = epochs, batch, media
        self.stop_requested = False
        self._warned: set[str] = set()
        self._bar: Progress | None = None
        self._started = time.monotonic()
        self._first_batch: tuple[int, int] | None = None
        self._shown = 0.0

    def say(self, text: str) -> None:
        """A line of text."""
        if self.show:
            self.console.print(harmless(text), markup=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """A warning, shown in any case."""
        self.console.print(f"warning: {harmless(text)}", markup=False, soft_wrap=True, style="yellow")

    def warn_once(self, text: str) -> None:
        """The same, unless it was shown before."""
        if text not in self._warned:
            self._warned.add(text)
            self.warn(text)

    def stopping(self) -> bool:
        """Whether Ctrl-C or a request to terminate came."""
        return self.stop_requested

    def advance(self, done: int, total: int) -> None:
        """Reading has come so far."""
        self._update(f"reading {inflected(2, self.media)}", done, total, "")
        if done == total:
            self.close()

    def converting(self, done: int, total: int) -> None:
        """So many of so many images have been written."""
        self._update("writing images", done, total, "")
        if done == total:
            self.close()

    def remembering(self, done: int, total: int) -> None:
        """The frozen stages have been run on so many of so many images."""
        self._update("running frozen stages", done, total, "")
        if done == total:
            self.close()

    def learning(self, done: int, total: int) -> None:
        """So many of so many classifiers have been fitted."""
        self._update("looking at labels", done, total, "")
        if done == total:
            self.close()

    def working(self, what: str, done: int, total: int) -> None:
        """So much of so much of some other work is done."""
        self._update(what, done, total, "")
        if done == total:
            self.close()

    def judging(self, loader: Batches) -> Iterator[Any]:
        """The batches of a part in order; how much of it has been judged is shown."""
        done = 0
        for batch in loader.in_order():
            yield batch
            done += len(batch.indices)
            self._update("judging", done, loader.samples, "")
        self.close()

    def plan(self, *, epochs: int, batch: int) -> None:
        """Training of so many epochs begins."""
        self.epochs, self.batch = epochs, batch
        self._first_batch = None

    def downloading(self, done: int, total: int) -> None:
        """So many bytes of so many have come."""
        self._update("downloading weights", done, total, "bytes")
        if done == total:
            self.close()

    def step(self, epoch: int, batch: int, batches: int, losses: dict[str, float]) -> None:
        """See `svertka.training.loop.Watcher.step`."""
        if not self.show:
            return
        now = time.monotonic()
        if self._first_batch is None:
            self._first_batch, self._started = (epoch, batch), now
        if now - self._shown < 0.1:
            return
        self._shown = now
        done = (epoch - self._first_batch[0]) * batches + batch - self._first_batch[1]
        rate = done * self.batch / (now - self._started) if done and now > self._started else None
        measured = [] if rate is None else [rate_text(rate, self.media)]
        text = "  ".join(measured + [f"{name} {value:.4f}" for name, value in losses.items()])
        self._update(
            f"epoch {epoch + 1}/{self.epochs}",
            epoch * batches + batch,
            self.epochs * batches,
            text,
        )

    def epoch(self, row: dict[str, float]) -> None:
        """See `svertka.training.loop.Watcher.epoch`."""
        number = int(row["epoch"])
        parts = [f"epoch {number:>{len(str(self.epochs))}}/{self.epochs}"]
        losses = {"loss": row["train_loss"]} if "train_loss" in row else _beginning(row, "train_")
        parts += [f"{name.replace('_', ' ')} {value:.4f}" for name, value in losses.items()]
        if "val_loss" in row:
            scores = [name for name in row if name.startswith("val_") and name != "val_loss"][:_SCORES]
            parts += [f"{name.replace('_', ' ')} {row[name]:.4f}" for name in ("val_loss", *scores)]
        rates = {row[name] for name in row if name == "lr" or name.startswith("lr_")}
        parts += [f"lr {', '.join(f'{rate:.2g}' for rate in sorted(rates))}", f"{row['seconds']:.1f} s"]
        self.say("  ".join(parts))

    def shortened(self, epochs: float) -> None:
        """See `svertka.training.loop.Watcher.shortened`."""
        self.say(f"epochs take longer than was planned: {epochs:.4g} of them instead of {self.epochs}")
        self.epochs = math.ceil(epochs)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    @contextmanager
    def catching_interrupts(self) -> Iterator[None]:
        """Within, Ctrl-C and SIGTERM ask training to save and stop; a second one stops at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        process = os.getpid()

        def handle(number: int, frame: FrameType | None) -> None:
            del frame
            if os.getpid() != process:  # a worker, which has the handler from us; we shall end it
                return
            if self.stop_requested:
                raise KeyboardInterrupt
            self.stop_requested = True
            self.say(f"{signal.Signals(number).name}: saving, then stopping")

        previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            self.close()

    def _update(self, label: str, done: int, total: int, extra: str) -> None:
        if not self.show or not sys.stderr.isatty():
            return
        if self._bar is None:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[extra]}", markup=False),
                console=self.console,
                transient=True,
            )
            self._bar.start()
            self._bar.add_task(label, total=total, extra=extra)
        self._bar.update(self._bar.task_ids[0], description=label, completed=done, total=total, extra=extra)


def _beginning(row: dict[str, float], beginning: str) -> dict[str, float]:
    return {name.removeprefix(beginning): value for name, value in row.items() if name.startswith(beginning)}
