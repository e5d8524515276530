"""The queue: bounded, in batches of what is waiting, and nobody pays for another's image."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from sites import Engine, Pixels, picture, proven, source

from svertka.results import Result
from svertka.serving.metrics import Metrics
from svertka.serving.models import Explanation, Model, Shelf
from svertka.serving.pipeline import Pipeline
from svertka.serving.refusals import RefusedError

BLACK = np.zeros((8, 8, 3), np.uint8)


@pytest.fixture
def pipeline() -> Iterator[Pipeline]:
    made = Pipeline(most=8, threads=2, metrics=Metrics())
    yield made
    made.close(5)
    assert not made.alive


def shelved(*engines: Engine, batch: int = 4) -> list[Model]:
    shelf = Shelf(
        {str(number): source(proven(engine)) for number, engine in enumerate(engines)}, say=[].append, warn=[].append
    )
    shelf.load()
    models = []
    for model, engine in zip(shelf.models, engines, strict=True):
        engine.batches.clear()
        object.__setattr__(model, "batch", batch)
        models.append(model)
    return models


def ask(pipeline: Pipeline, model: Model, image: Pixels) -> Any:
    def finish(kept: Pixels | None, result: Result) -> str:
        assert kept is None
        return result.line()

    return pipeline.predict(model, lambda: image, finish, keep=False)


async def until(ready: Callable[[], object]) -> None:
    for _ in range(1000):
        if ready():
            return
        await asyncio.sleep(0.005)
    pytest.fail("not so after 5 s")


def waiting(pipeline: Pipeline) -> int:
    return len(pipeline._jobs)


def test_what_waits_is_run_together_by_model_and_in_order(pipeline: Pipeline) -> None:
    one, other = Engine(), Engine()
    first, second = shelved(one, other)

    async def all_at_once() -> list[str]:
        one.gate.clear()
        held = asyncio.ensure_future(ask(pipeline, first, picture(0)))
        await until(lambda: pipeline._inside == 1 and not waiting(pipeline))
        await asyncio.sleep(0.05)
        jobs = []
        for number, model in enumerate([first, second, first, second, first, first, first]):
            jobs.append(asyncio.ensure_future(ask(pipeline, model, picture(number + 1))))
            await until(lambda number=number: waiting(pipeline) == number + 1)
        one.gate.set()
        return list(await asyncio.gather(held, *jobs))

    lines = asyncio.run(all_at_once())
    assert (one.batches, other.batches) == ([1, 4, 1], [2])
    expected = [proven(Engine()).predict([picture(number)])[0].line() for number in range(8)]
    assert lines == expected


def test_no_more_come_in_than_there_is_room_for(pipeline: Pipeline) -> None:
    engine = Engine()
    (model,) = shelved(engine)

    async def too_many() -> list[Any]:
        engine.gate.clear()
        jobs = [asyncio.ensure_future(ask(pipeline, model, picture(number))) for number in range(12)]
        await until(lambda: sum(job.done() for job in jobs) == 4)
        with pytest.raises(RefusedError) as refused:
            pipeline.check_room()
        assert refused.value.status == 503
        assert int(refused.value.headers["Retry-After"]) >= 1
        engine.gate.set()
        found = await asyncio.gather(*jobs, return_exceptions=True)
        pipeline.check_room()
        return list(found)

    found = asyncio.run(too_many())
    assert [isinstance(one, RefusedError) for one in found] == [False] * 8 + [True] * 4


def test_an_image_that_breaks_the_engine_breaks_nobody_elses(pipeline: Pipeline) -> None:
    engine = Engine()
    (model,) = shelved(engine)
    engine.black_fails = True

    async def one_bad() -> list[Any]:
        engine.gate.clear()
        held = asyncio.ensure_future(ask(pipeline, model, picture(0)))
        await until(lambda: pipeline._inside == 1 and not waiting(pipeline))
        await asyncio.sleep(0.05)
        jobs = [asyncio.ensure_future(ask(pipeline, model, image)) for image in (picture(1), BLACK, picture(2))]
        await until(lambda: waiting(pipeline) == 3)
        engine.gate.set()
        return list(await asyncio.gather(held, *jobs, return_exceptions=True))

    held, one, bad, other = asyncio.run(one_bad())
    assert all(isinstance(text, str) for text in (held, one, other))
    assert isinstance(bad, ValueError)
    assert engine.batches == [1, 3, 1, 1, 1]


def test_who_has_gone_away_is_left_out(pipeline: Pipeline) -> None:
    engine = Engine()
    (model,) = shelved(engine)

    async def leaving() -> None:
        engine.gate.clear()
        held = asyncio.ensure_future(ask(pipeline, model, picture(0)))
        await until(lambda: pipeline._inside == 1 and not waiting(pipeline))
        await asyncio.sleep(0.05)
        gone, stays = (asyncio.ensure_future(ask(pipeline, model, picture(number))) for number in (1, 2))
        await until(lambda: waiting(pipeline) == 2)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        assert pipeline._inside == 2
        engine.gate.set()
        await asyncio.gather(held, stays)
        assert pipeline._inside == 0

    asyncio.run(leaving())
    assert engine.batches == [1, 1]


def test_few_whole_images_are_held_at_a_time(pipeline: Pipeline) -> None:
    (model,) = shelved(Engine())
    held, most, lock = 0, 0, threading.Lock()

    def decode() -> Pixels:
        nonlocal held, most
        with lock:
            held += 1
            most = max(most, held)
        return picture(0)

    def finish(kept: Pixels | None, result: Result) -> None:
        nonlocal held
        assert kept is not None
        assert result.line()
        with lock:
            held -= 1

    async def many() -> None:
        await asyncio.gather(*(pipeline.predict(model, decode, finish, keep=True) for _ in range(8)))

    asyncio.run(many())
    assert most <= 2


def test_explanations_are_run_one_by_one_beside_predictions(pipeline: Pipeline) -> None:
    engine = Engine()
    running, lock = [0], threading.Lock()

    def explain(image: Pixels, target: str | None) -> Explanation:
        assert lock.acquire(blocking=False)
        running[0] += 1
        lock.release()
        return Explanation(target or "red", "here", image)

    shelf = Shelf({"one": source(proven(engine), explain)}, say=[].append, warn=[].append)
    shelf.load()

    async def both() -> list[Any]:
        explained = [
            pipeline.explain(shelf.find(None), lambda: BLACK, "blue", lambda found: found.name) for _ in range(3)
        ]
        return list(await asyncio.gather(*explained, ask(pipeline, shelf.find(None), picture(1))))

    assert asyncio.run(both())[:3] == ["blue"] * 3
    assert running == [3]
