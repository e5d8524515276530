"""Every cache is damaged: a bit flipped, zeros, cut short. None is believed, and each is reported in a line."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from svertka.commands.bench.machines import MachineLine, known_machines, machines_file, save_machines
from svertka.data.cache.images import load_images
from svertka.data.cache.memory import Store
from svertka.data.cache.regions import proposed
from svertka.data.readers.archives import unpacked
from svertka.data.samples import ImageFile
from svertka.runtime.choices import remembered_choice
from svertka.runtime.preprocess import Preprocess

PLACES = 12  # in which a file is damaged
COUNT = 5


class Cache(NamedTuple):
    """A cache, and a use of it that gives, as JSON, what the cache is for."""

    pattern: str
    use: Callable[[Path], Any]


def sources(folder: Path) -> list[ImageFile]:
    return [ImageFile(path) for path in sorted((folder / "images").glob("*.png"))]


def pixels(folder: Path, **changes: Any) -> Any:
    found = load_images(sources(folder), Preprocess(**{"height": 6, "width": 5, **changes}))
    images = [image.tolist() for image in found.each(np.arange(COUNT))]
    return [images, found.digests, found.errors, found.sizes]


def masks(folder: Path) -> Any:
    return pixels(folder, height=8, width=8, fit="whole")


def proposals(folder: Path) -> Any:
    images = load_images(sources(folder), Preprocess(height=16, width=16, regions=3))
    return [regions.tolist() for regions in proposed(images, range(COUNT)).values()]


def features(folder: Path) -> Any:
    del folder
    digests, store = [f"image {number}" for number in range(COUNT)], Store("key", (7,))
    store.check(digests)
    absent = [digest for digest in digests if digest not in store]
    if absent:
        store.add(absent, np.array([[digests.index(digest)] * 7 for digest in absent], np.float16))
    return store.take(store.places(digests)).tolist()


def archive(folder: Path) -> Any:
    place = unpacked(folder / "set.zip")
    return {path.name: path.read_bytes().hex() for path in sorted(place.rglob("*.png"))}


def choice(folder: Path) -> Any:
    del folder
    return remembered_choice("which?", ["one", "other"], lambda: "other")


def machines(folder: Path) -> Any:
    del folder
    lines = known_machines(machines_file(None)) or [MachineLine("a processor", 2, {"gflops": 12.5}, {})]
    save_machines(machines_file(None), lines)
    return [line.name for line in lines], lines[0].cores, dict(lines[0].peaks)


CACHES = {
    "pixels": Cache("images/*.pixels", pixels),
    "index of pixels": Cache("images/*.json", pixels),
    "whole images": Cache("images/*.pixels", masks),
    "index of whole images": Cache("images/*.json", masks),
    "proposals": Cache("memory/*/*.rows", proposals),
    "index of proposals": Cache("memory/*/*.json", proposals),
    "features": Cache("memory/*/*.rows", features),
    "index of features": Cache("memory/*/*.json", features),
    "archive": Cache("archives/*/3.png", archive),
    "index of an archive": Cache("archives/*.json", archive),
    "choices": Cache("speed.json", choice),
    "machines": Cache("machines.json", machines),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, and an archive of them."""
    folder = tmp_path_factory.mktemp("set")
    (folder / "images").mkdir()
    chance = np.random.default_rng(0)
    with zipfile.ZipFile(folder / "set.zip", "w") as packed:
        for number in range(COUNT):
            path = folder / "images" / f"{number}.png"
            Image.fromarray(chance.integers(0, 256, (20, 24, 3), np.uint8)).save(path)
            packed.write(path, path.name)
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SVERTKA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def damages(data: bytes) -> Iterator[bytes]:
    for place in np.linspace(0, len(data) - 1, PLACES).astype(int):
        flipped = bytearray(data)
        flipped[place] ^= 1 << place % 8
        yield bytes(flipped)
    third = len(data) // 3
    yield data[:third] + bytes(third) + data[2 * third :]
    for length in (0, 1, len(data) // 2, len(data) - 1):
        yield data[:length]


@pytest.mark.parametrize("name", CACHES)
def test_no_damage_is_believed(
    name: str, folder: Path, cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = CACHES[name]
    expected = json.dumps(one.use(folder))
    (file,) = cache.glob(one.pattern)
    sound = file.read_bytes()
    shutil.copytree(cache, tmp_path / "sound")
    for data in damages(sound):
        shutil.rmtree(cache)
        shutil.copytree(tmp_path / "sound", cache)
        file.write_bytes(data)
        caplog.clear()
        assert json.dumps(one.use(folder)) == expected
        if data != sound and (_meaning(data) is None or _meaning(data) != _meaning(sound)):
            (reported,) = [record.getMessage() for record in caplog.records]
            assert "is damaged; " in reported
            assert str(cache) in reported
        caplog.clear()
        assert json.dumps(one.use(folder)) == expected  # it was made anew, so there is nothing to report
        assert not caplog.records


@pytest.mark.parametrize("name", CACHES)
def test_a_sound_cache_is_believed(name: str, folder: Path, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    one = CACHES[name]
    one.use(folder)
    (file,) = cache.glob(one.pattern)
    before = file.stat().st_ino, file.stat().st_mtime_ns
    expected = json.dumps(one.use(folder))
    assert json.dumps(one.use(folder)) == expected
    if "index of" not in name and name != "machines":
        assert (file.stat().st_ino, file.stat().st_mtime_ns) == before
    assert not caplog.records


def _meaning(data: bytes) -> Any:
    """What JSON says; a flipped bit in white space after it changes nothing."""
    try:
        return json.loads(data)
    except ValueError:
        return None


FILLER = """
import sys
from pathlib import Path
from svertka.data.readers.archives import unpacked
from svertka.data.cache.images import load_images
from svertka.data.samples import ImageFile
from svertka.runtime.preprocess import Preprocess

folder = Path(sys.argv[1])
sources = [ImageFile(path) for path in sorted((folder / "images").glob("*.png"))]
print(flush=True)
for number in range(100_000):
    load_images(sources, Preprocess(height=64 + number % 40, width=64))
    unpacked(folder / "set.zip")
"""


@pytest.mark.skipif(os.name != "posix", reason="processes are killed here")
def test_two_processes_that_are_killed_at_will_leave_caches_that_are_believed(
    folder: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(0)

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", FILLER, str(folder)]
        return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE)

    for _ in range(3):
        running = [start(), start()]
        try:
            for process in running:
                assert process.stdout is not None
                process.stdout.readline()  # it has imported all
            for process in running:
                time.sleep(chance.uniform(0.1, 0.5))
                process.send_signal(signal.SIGKILL)
        finally:
            for process in running:
                process.kill()
                process.communicate()
        for number in range(40):
            pixels(folder, height=64 + number, width=64)
        assert len(archive(folder)) == COUNT
    assert not caplog.records
    assert len(list((cache / "images").glob("*.pixels"))) == 40
