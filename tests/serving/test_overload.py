"""More load than a server can bear, for seconds; `benchmarks/soak.py` has the whole."""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sites import Engine, picture, png, proven

HERE = Path(__file__).parent
CAPACITY = 50.0  # answers a second, of slow.py
CLIENTS = 64


@pytest.fixture
def slow(soak_server: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, str]]:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), *sys.path]))
    with soak_server.served(command=[sys.executable, str(HERE / "slow.py")]) as server:
        yield server


def asked(count: int) -> tuple[list[bytes], list[dict[str, float]]]:
    images = [picture(number) for number in range(count)]
    results = [result.to_json()["classes"] for result in proven(Engine()).predict(images)]
    return [png(image) for image in images], [{entry["name"]: entry["score"] for entry in one} for one in results]


def test_under_four_times_the_load_most_of_it_is_still_answered(soak_server: ModuleType, slow: tuple[Any, str]) -> None:
    _, address = slow
    images, expected = asked(20)
    most = asyncio.run(soak_server.load(address, images, expected, clients=8, seconds=2)).rate
    load = soak_server.load(
        address, images, expected, clients=CLIENTS, seconds=5, rate=4 * CAPACITY, wrong=soak_server.MALFORMED
    )
    told = asyncio.run(load)
    assert told.wrong == []
    assert set(told.statuses) <= {200, 400, 415, 422, 503}
    assert min(told.statuses[200], told.statuses[503], told.statuses[400], told.statuses[422]) > 0
    assert sum(told.statuses.values()) > 2 * told.statuses[200]
    assert told.largest <= soak_server.TOLERANCE
    # Seconds are the benchmark's to judge, on a machine that does nothing else. What holds on any: who is refused, or
    # asks whether it is alive, does not wait in the queue of those who are answered.
    assert told.rate >= soak_server.GOODPUT * most / 2
    waited = statistics.median(told.seconds["answered"])
    assert told.p99("refused") < waited
    assert told.p99("alive") < waited


def test_what_has_come_is_answered_before_the_end(soak_server: ModuleType, slow: tuple[Any, str]) -> None:
    process, address = slow
    images, _ = asked(4)
    statuses, seconds = asyncio.run(soak_server.drain(process, address, images, clients=CLIENTS))
    assert sum(statuses.values()) == CLIENTS
    assert statuses == Counter({200: 16, 503: CLIENTS - 16})
    assert seconds < soak_server.DRAIN
    assert process.returncode == 0


def test_attacks_are_refused_and_leave_no_memory_behind(soak_server: ModuleType, slow: tuple[Any, str]) -> None:
    process, address = slow
    found = asyncio.run(soak_server.attack(address, process.pid, 2**24, times=3))
    assert len(found) == 11
    for name, (statuses, growth) in found.items():
        assert sum(statuses.values()) == 3
        assert all(400 <= status < 500 for status in statuses), (name, statuses)
        assert growth < soak_server.GROWTH, name
