"""What frozen stages gave: kept by content, checked when read, computed again where it is damaged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from svertka.data.cache.images import Images
from svertka.data.cache.mapped import HeldRows, MappedRows
from svertka.data.cache.memory import VIEWS, Remembered, Store, memory_bytes, remember
from svertka.runtime.files import cache_folder
from svertka.runtime.preprocess import Preprocess

SIDE = 8


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SVERTKA_CACHE", str(tmp_path / "cache"))


class Engine:
    """Gives the mean of every channel and the mean of every column; counts what it is asked."""

    batch = 4

    def __init__(self) -> None:
        self.images = 0
        self.sizes: set[int] = set()

    def stream(self, batches: Iterable[NDArray[np.float32]]) -> Iterator[tuple[NDArray[np.float32], ...]]:
        for batch in batches:
            self.sizes.add(len(batch))
            self.images += len(batch)
            yield batch.mean(axis=(2, 3)), batch.mean(axis=(1, 2))


def images(count: int = 10) -> Images:
    pixels = np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)
    preprocess = Preprocess(height=SIDE, width=SIDE, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    return Images(
        [], preprocess, HeldRows(pixels), tuple(f"image {number}" for number in range(count)), {}, ((0, 0),) * count
    )


def stores(view: str = "identity") -> list[Store]:
    return [Store(f"means {view}", (3,)), Store(f"rows {view}", (SIDE,))]


def expected(found: Images, positions: NDArray[np.int64], view: str = "identity") -> NDArray[np.float32]:
    batch = found.preprocess.normalise(VIEWS[view](found.take(positions)))
    return np.concatenate([batch.mean(axis=(2, 3)), batch.mean(axis=(1, 2))], axis=1)


def test_every_image_is_run_once() -> None:
    found, engine, kept = images(), Engine(), stores()
    positions = np.arange(10)
    assert remember(found, positions, "identity", kept, lambda: engine) == 10
    assert engine.sizes == {4}  # the last batch is filled up
    assert remember(found, positions, "identity", kept, lambda: engine) == 0
    assert remember(found, positions, "identity", stores(), lambda: engine) == 0  # another process
    assert engine.images == 12
    rows = Remembered([stores()], found.digests).take(np.array([7, 2, 7]), 0)
    np.testing.assert_allclose(rows, expected(found, np.array([7, 2, 7])), atol=1e-3)
    assert memory_bytes() > 10 * 2 * (3 + SIDE)


def test_only_new_images_are_run() -> None:
    engine = Engine()
    remember(images(6), np.arange(6), "identity", stores(), lambda: engine)
    before = engine.images
    assert remember(images(10), np.arange(10), "identity", stores(), lambda: engine) == 4
    assert engine.images - before == 4


def test_copies_of_an_image_are_run_once() -> None:
    found, engine = images(4), Engine()
    assert remember(found, np.array([0, 1, 1, 0, 3]), "identity", stores(), lambda: engine) == 3


@pytest.mark.parametrize("damage", ["a bit", "cut", "no index", "index of something else", "empty"])
def test_what_is_damaged_is_computed_again(damage: str) -> None:
    found, positions = images(), np.arange(10)
    remember(found, positions, "identity", stores(), Engine)
    (rows,) = (cache_folder() / "memory" / "means identity").glob("*.rows")
    data = bytearray(rows.read_bytes())
    if damage == "a bit":
        data[6 * 2 * 3 + 1] ^= 0x10
        rows.write_bytes(data)
    elif damage == "cut":
        rows.write_bytes(data[:-7])
    elif damage == "empty":
        rows.write_bytes(b"")
    else:
        rows.with_suffix(".json").write_text("{" if damage == "no index" else '{"digests": ["image 1"], "checks": []}')
    again = remember(found, positions, "identity", stores(), Engine)
    assert again == (1 if damage == "a bit" else 10)
    kept = stores()
    assert remember(found, positions, "identity", kept, Engine) == 0
    np.testing.assert_allclose(
        Remembered([kept], found.digests).take(positions, 0), expected(found, positions), atol=1e-3
    )


def test_without_a_disk_it_is_kept_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SVERTKA_CACHE_GB", "0")
    found, kept = images(), stores()
    remember(found, np.arange(10), "identity", kept, Engine)
    np.testing.assert_allclose(
        Remembered([kept], found.digests).take(np.arange(10), 0), expected(found, np.arange(10)), atol=1e-3
    )
    assert memory_bytes() == 0


def test_the_disk_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SVERTKA_CACHE_GB", "0.000012")
    for number in range(40):
        store = Store(f"store {number}", (64,))
        store.add([f"image {row}" for row in range(8)], np.zeros((8, 64), np.float16))
        assert memory_bytes() <= 12_000 + 2_000  # the index of the newest comes on top
    assert "image 0" in Store("store 39", (64,))
    assert "image 0" not in Store("store 0", (64,))


@pytest.mark.parametrize("view", VIEWS)
def test_views_show_the_same_image(view: str) -> None:
    batch = images(3).take(np.arange(3))
    seen = VIEWS[view](batch)
    assert seen.shape == batch.shape
    assert (view == "identity") == np.array_equal(seen, batch)
    assert set(np.unique(seen)) <= set(np.unique(batch))


def test_the_view_of_a_sample_depends_on_seed_epoch_and_index_alone() -> None:
    found = images()
    kept = [stores("identity"), stores("flip")]
    for view, pair in zip(("identity", "flip"), kept, strict=True):
        remember(found, np.arange(10), view, pair, Engine)
    both = Remembered(kept, found.digests, seed=3)
    plain, mirrored = (Remembered([pair], found.digests).take(np.arange(10), 0) for pair in kept)
    seen = set()
    for epoch in range(4):
        rows = both.take(np.arange(10), epoch)
        for index in range(10):
            np.testing.assert_array_equal(both.take(np.array([index]), epoch)[0], rows[index])
            ways = [np.array_equal(rows[index], one[index]) for one in (plain, mirrored)]
            assert any(ways)
            seen.add(tuple(ways))
    assert len(seen) > 1
    chunks = list(both.chunks(4))
    assert [len(indices) for indices, _ in chunks] == [4, 4, 2] * 2
    np.testing.assert_array_equal(np.concatenate([rows for _, rows in chunks]), np.concatenate([plain, mirrored]))


def test_rows_of_a_file_survive_being_let_go(tmp_path: Path) -> None:
    rows = (np.arange(3000 * 8192) % 2048).astype(np.float16).reshape(3000, 8192)
    rows.tofile(tmp_path / "rows")
    mapped = MappedRows(tmp_path / "rows", np.float16, (8192,))
    for _ in range(3):  # 49 MB each time, more than is held
        np.testing.assert_array_equal(mapped.take(np.arange(3000)), rows)
    with pytest.raises(ValueError, match="reshape"):
        MappedRows(tmp_path / "rows", np.float16, (8191,))
