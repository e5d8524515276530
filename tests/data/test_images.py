"""The image cache: what is decoded once is not decoded again, and no fault of it is seen from outside."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from svertka.data.cache.images import Images, load_images
from svertka.data.cache.loaded import cache_limit
from svertka.data.samples import ImageFile
from svertka.errors import UserError
from svertka.runtime.image import ImageError
from svertka.runtime.preprocess import Preprocess

WriteImages = Callable[..., None]
SMALL = Preprocess(height=4, width=3)


@dataclass
class Source:
    """An image of one shade that counts how often it is decoded."""

    shade: int
    name: str = ""
    broken: bool = False
    decoded: int = 0

    def stamp(self) -> str:
        return f"{self.name} {self.shade}"

    def load(self) -> tuple[NDArray[np.uint8], str]:
        self.decoded += 1
        if self.broken:
            raise ImageError("torn", where=f"image {self.shade}")
        return np.full((8, 8, 3), self.shade, np.uint8), hashlib.md5(bytes([self.shade])).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("SVERTKA_CACHE", str(folder))
    yield folder / "images"
    assert not list(folder.rglob("*.partial"))


def some(count: int = 5, name: str = "") -> list[Source]:
    return [Source(shade, name) for shade in range(count)]


def shades(images: Images) -> list[int]:
    return images.take(np.arange(len(images.sources)))[:, 0, 0, 0].tolist()


def times(sources: list[Source]) -> set[int]:
    return {source.decoded for source in sources}


def test_the_second_call_decodes_nothing() -> None:
    first, second = some(150), some(150)
    one, other = load_images(first, SMALL), load_images(second, SMALL)
    assert (times(first), times(second)) == ({1}, {0})
    assert shades(one) == shades(other) == list(range(150))
    assert one.digests == other.digests
    assert one.take(np.array([7, 3])).shape == (2, 4, 3, 3)


def test_a_copy_is_handed_out() -> None:
    images = load_images(some(), SMALL)
    taken = images.take(np.array([1]))
    taken[:] = 99
    assert shades(images) == list(range(5))
    assert type(taken) is np.ndarray


@pytest.mark.parametrize(
    ("preprocess", "times_decoded"),
    [
        (Preprocess(height=4, width=3, mean=(1, 1, 1), std=(2, 2, 2), order="bgr"), 0),
        (Preprocess(height=3, width=4), 1),
        (Preprocess(height=4, width=3, channels=1, mean=(0,), std=(1,)), 1),
        (Preprocess(height=4, width=3, fit="pad"), 1),
        (Preprocess(height=4, width=3, fit="crop", shorter=4), 1),
        (Preprocess(height=4, width=3, interpolation="nearest"), 1),
    ],
)
def test_only_another_geometry_is_decoded_anew(preprocess: Preprocess, times_decoded: int) -> None:
    load_images(some(), SMALL)
    again = some()
    assert load_images(again, preprocess).pixels is not None
    assert times(again) == {times_decoded}


def test_changed_order_or_number_is_decoded_anew() -> None:
    load_images(some(), SMALL)
    for again in (some()[::-1], some(4), some(5, "elsewhere")):
        assert shades(load_images(again, SMALL)) == [source.shade for source in again]
        assert times(again) == {1}


def test_an_unreadable_image_is_an_error_by_position_and_no_exception() -> None:
    sources = some(140)
    for position in (0, 77, 139):
        sources[position].broken = True
    for again in (sources, some(140)):
        images = load_images(again, SMALL)
        assert images.errors == {position: f"image {position}: torn" for position in (0, 77, 139)}
        assert [position for position, digest in enumerate(images.digests) if not digest] == [0, 77, 139]
        assert shades(images)[76:79] == [76, 0, 78]
    assert times(again) == {0}


@pytest.mark.parametrize(
    "damage",
    [
        lambda pixels, _: pixels.unlink(),
        lambda pixels, _: os.truncate(pixels, pixels.stat().st_size - 1),
        lambda pixels, _: os.truncate(pixels, 0),
        lambda _, index: index.unlink(),
        lambda _, index: os.truncate(index, index.stat().st_size // 2),
        lambda _, index: index.write_text("null"),
        lambda _, index: index.write_text("{}"),
        lambda _, index: index.write_text('{"digests": ["a"], "errors": {}}'),
        lambda _, index: index.write_text('{"digests": ["", "", "", "", ""], "errors": []}'),
        lambda _, index: index.write_bytes(b"\xff\xfe"),
    ],
    ids=["no pixels", "short", "empty", "no index", "half", "null", "no digests", "one", "list", "binary"],
)
def test_a_damaged_cache_is_rebuilt(cache: Path, damage: Callable[[Path, Path], object]) -> None:
    load_images(some(), SMALL)
    damage(next(cache.glob("*.pixels")), next(cache.glob("*.json")))
    again, once_more = some(), some()
    assert shades(load_images(again, SMALL)) == list(range(5))
    assert load_images(once_more, SMALL).digests == load_images(some(), SMALL).digests
    assert (times(again), times(once_more)) == ({1}, {0})


def test_a_limit_of_nought_keeps_nothing_and_works(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SVERTKA_CACHE_GB", "0")
    sources = some()
    sources[2].broken = True
    images = load_images(sources, SMALL)
    assert images.pixels is None
    assert images.errors == {2: "image 2: torn"}
    assert images.take(np.array([4, 1]))[:, 0, 0, 0].tolist() == [4, 1]
    assert not cache.exists()


@pytest.mark.parametrize(("text", "limit"), [(None, 20 * 10**9), ("0.5", 5 * 10**8), (" 1e1 ", 10**10)])
def test_the_limit(monkeypatch: pytest.MonkeyPatch, text: str | None, limit: int) -> None:
    if text is not None:
        monkeypatch.setenv("SVERTKA_CACHE_GB", text)
    assert cache_limit() == limit


@pytest.mark.parametrize("text", ["", "much", "nan", "inf", "10GB"])
def test_a_limit_that_is_no_number_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SVERTKA_CACHE_GB", text)
    with pytest.raises(UserError, match=f"SVERTKA_CACHE_GB: '{text}' is no number of gigabytes"):
        load_images(some(), SMALL)


def test_the_least_recently_used_is_evicted(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = 5 * SMALL.height * SMALL.width * SMALL.channels
    monkeypatch.setenv("SVERTKA_CACHE_GB", str(2.5 * size / 1e9))
    for age, name in ((300, "a"), (200, "b")):
        load_images(some(name=name), SMALL)
        newest = max(cache.glob("*.json"), key=lambda path: path.stat().st_mtime)
        os.utime(newest, (newest.stat().st_mtime - age,) * 2)
    used = load_images(some(name="a"), SMALL)  # a is the younger in use from here on
    load_images(some(name="c"), SMALL)
    assert len(list(cache.glob("*.pixels"))) == len(list(cache.glob("*.json"))) == 2
    for name, decoded in (("a", 0), ("c", 0), ("b", 1)):
        again = some(name=name)
        load_images(again, SMALL)
        assert times(again) == {decoded}, name
    assert shades(used) == list(range(5))  # what is open stays readable


def test_a_place_that_cannot_be_written_is_no_obstacle(cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    images = load_images(some(), SMALL)
    assert images.pixels is None
    assert shades(images) == list(range(5))


def test_what_a_killed_process_left_is_removed_in_time(cache: Path) -> None:
    load_images(some(), SMALL)
    old, new = cache / ".a.pixels.1.partial", cache / ".b.pixels.2.partial"
    for path, age in ((old, 3 * 24 * 3600), (new, 60)):
        path.write_bytes(b"half")
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    load_images(some(name="more"), SMALL)
    assert (old.exists(), new.exists()) == (False, True)
    new.unlink()


def test_several_at_once_do_not_get_in_each_others_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SVERTKA_CACHE_GB", "2e-7")  # three sets and a bit: they evict one another all the time
    failed: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for number in range(15):
                assert shades(load_images(some(name=f"{name}{number % 4}"), SMALL)) == list(range(5))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_progress_is_told_to_the_end() -> None:
    told: list[tuple[int, int]] = []
    load_images(some(130), SMALL, advance=lambda done, all_: told.append((done, all_)))
    assert told == [(64, 130), (128, 130), (130, 130)]


def test_real_files(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, ["1.png", "2.png", "3.png"])
    (tmp_path / "2.png").write_bytes(b"no image")
    files = [ImageFile(tmp_path / f"{number}.png") for number in (1, 2, 3, 4)]
    images = load_images(files, SMALL)
    assert sorted(images.errors) == [1, 3]
    assert all(str(tmp_path) in error for error in images.errors.values())
    assert np.array_equal(images.take(np.array([2]))[0], SMALL.place(files[2].load()[0]))


def test_a_changed_file_is_decoded_anew_even_if_its_time_and_size_are_put_back(tmp_path: Path) -> None:
    path = tmp_path / "image.bmp"

    def shade(value: int) -> int:
        Image.new("RGB", (8, 8), (value, value, value)).save(path)
        os.utime(path, (1000, 1000))
        return shades(load_images([ImageFile(path)], SMALL))[0]

    assert [shade(10), shade(20), shade(10)] == [10, 20, 10]


def test_a_relative_path_is_not_mistaken_for_that_of_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        Path("image.png").touch()
        assert str(tmp_path / name) in ImageFile(Path("image.png")).stamp()
