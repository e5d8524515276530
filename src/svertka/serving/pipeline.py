"""From image files to answers: decoded in a few threads, run in one, and never more at a time than there is room for.

Images are run together as they come: a batch takes what is waiting and waits for nothing. One thread runs all models,
for an engine takes all processors anyway.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar

from svertka.results import Result
from svertka.runtime.predictor import Placed
from svertka.serving.metrics import Metrics
from svertka.serving.models import Explanation, Image, Model
from svertka.serving.refusals import RefusedError
from svertka.serving.threads import Crew

_WHOLE = 2  # images of which all pixels are kept, at a time: one is run, the next is decoded
_WEIGHT = 0.1  # of the latest image in the running mean of how long they take
_LONGEST = 60  # seconds that a client is told to wait

T = TypeVar("T")


@dataclass(eq=False)
class _Job:
    work: str
    model: Model
    item: Any
    run: Callable[[Sequence[Any]], Sequence[Any]]
    most: int
    future: Future[Any] = field(default_factory=Future)


class Pipeline:
    """Answers for images.

    Args:
        most: Images inside at a time.
        threads: That decode.
        metrics: Are counted on.
    """

    def __init__(self, *, most: int, threads: int, metrics: Metrics) -> None:
        self._metrics = metrics
        self.allow(most)
        self._inside = 0
        self._seconds = 0.0
        self._whole = asyncio.Semaphore(_WHOLE)
        self._crew = Crew(threads, name="svertka-decoding")
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="svertka-running", daemon=True)
        self._thread.start()
        metrics.inside.set_function(lambda: self._inside)

    @property
    def alive(self) -> bool:
        """Whether answers can be expected."""
        return self._thread.is_alive() and not self._closed

    def allow(self, most: int) -> None:
        """Let so many images be inside at a time."""
        self.most = most
        self._metrics.most_inside.set(most)

    def check_room(self) -> None:
        """Check that another image could come in now.

        Raises:
            RefusedError: It could not; by Little's law there is room again after the time that recent ones took.
        """
        if self._inside >= self.most:
            seconds = min(_LONGEST, max(1, math.ceil(self._seconds)))
            raise RefusedError(
                503,
                f"all {self.most} places are taken",
                mend=f"try again in {seconds} s",
                headers={"Retry-After": str(seconds)},
            )

    async def predict(
        self, model: Model, decode: Callable[[], Image], finish: Callable[[Image | None, Result], T], *, keep: bool
    ) -> T:
        """What a model says of an image.

        Args:
            model: The model.
            decode: Gives the image ``(H, W, 3)``; called in another thread.
            finish: Makes an answer of the result, and of the image where it is kept; called in another thread.
            keep: Whether the image is kept until then.

        Raises:
            RefusedError: There is no room.
            Exception: What any of these raises.
        """

        def prepare() -> tuple[Placed, Image | None]:
            image = decode()
            return model.place(image), image if keep else None

        with self._room():
            async with _maybe(self._whole, keep or model.whole):
                placed, image = await self._elsewhere(prepare)
                job = _Job("predict", model, placed, model.predict, model.batch)
                del placed
                result = await self._answer(job)
                return await self._elsewhere(lambda: finish(image, result))

    async def explain(
        self, model: Model, decode: Callable[[], Image], target: str | None, finish: Callable[[Explanation], T]
    ) -> T:
        """Why a model says a class of an image; as `predict`."""
        explain = model.opened.explain
        assert explain is not None
        with self._room():
            async with self._whole:
                image = await self._elsewhere(decode)
                found = await self._answer(
                    _Job("explain", model, image, lambda images: [explain(images[0], target)], 1)
                )
                return await self._elsewhere(lambda: finish(found))

    def close(self, seconds: float) -> None:
        """Take nothing more, and end the threads; what takes longer than so many seconds is left to itself."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._crew.close()
        self._thread.join(seconds)

    @contextmanager
    def _room(self) -> Iterator[None]:
        self.check_room()
        started = time.monotonic()
        self._inside += 1
        try:
            yield
            self._seconds += _WEIGHT * (time.monotonic() - started - self._seconds)
        finally:
            self._inside -= 1

    async def _elsewhere(self, call: Callable[[], T]) -> T:
        return await asyncio.wrap_future(self._crew.submit(call))

    async def _answer(self, job: _Job) -> Any:
        with self._changed:
            self._jobs.append(job)
            self._changed.notify()
        return await asyncio.wrap_future(job.future)

    def _work(self) -> None:
        while self._step():
            pass

    def _step(self) -> bool:
        # Nothing is kept here of what was run.
        jobs = self._next()
        # Whoever has gone away in the meantime is left out.
        self._run([job for job in jobs or () if job.future.set_running_or_notify_cancel()])
        return jobs is not None

    def _next(self) -> list[_Job] | None:
        with self._changed:
            while not self._jobs:
                if self._closed:
                    return None
                self._changed.wait()
            first = self._jobs.popleft()
            together, others = [first], deque[_Job]()
            while self._jobs and len(together) < first.most:
                job = self._jobs.popleft()
                alike = job.work == first.work and job.model is first.model
                (together if alike else others).append(job)
            self._jobs.extendleft(reversed(others))
            return together

    def _run(self, jobs: Sequence[_Job]) -> None:
        if not jobs:
            return
        started = time.perf_counter()
        try:
            answers = jobs[0].run([job.item for job in jobs])
        except Exception as error:
            if len(jobs) > 1:  # one of them may be to blame, and shall be alone with it
                for job in jobs:
                    self._run([job])
            else:
                jobs[0].future.set_exception(error)
            return
        labels = jobs[0].model.name, jobs[0].work
        self._metrics.batch_seconds.labels(*labels).observe(time.perf_counter() - started)
        self._metrics.batch_images.labels(*labels).observe(len(jobs))
        for job, answer in zip(jobs, answers, strict=True):
            job.future.set_result(answer)


def _maybe(semaphore: asyncio.Semaphore, wanted: bool) -> AbstractAsyncContextManager[None]:
    return semaphore if wanted else nullcontext()
