"""Batches: their order, their shares, and what is in them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from svertka.data.batching.batches import Batch, Loader, Part, Pixels
from svertka.data.batching.samplers import Episodes, PerClass
from svertka.data.batching.workers import workers_that_fit
from svertka.data.cache.images import Images
from svertka.data.cache.mapped import HeldRows
from svertka.errors import UserError
from svertka.runtime.preprocess import Preprocess

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")


def part(count: int = 11, *, seed: int = 0, augmentations: tuple[str, ...] = ("flip", "crop", "affine")) -> Part:
    preprocess = Preprocess(height=8, width=6, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    pixels = np.random.default_rng(0).integers(0, 256, (count + 5, 8, 6, 3), np.uint8)
    images = Images([], preprocess, HeldRows(pixels), ("",) * (count + 5), {}, ((0, 0),) * (count + 5))
    positions = np.arange(count)[::-1] + 2
    return Part(Pixels(images, positions, preprocess, augmentations, seed), np.arange(count) % 3, seed)


def indices(batches: Iterable[Batch]) -> list[list[int]]:
    return [batch.indices.tolist() for batch in batches]


def flat(lists: Iterable[list[Any]]) -> list[Any]:
    return list(itertools.chain.from_iterable(lists))


def same(one: Batch, other: Batch) -> bool:
    tensors = zip(one[:3], other[:3], strict=True)
    return all(a.dtype == b.dtype and torch.equal(a, b) for a, b in tensors) and one.weight == other.weight


def test_an_epoch_learns_from_as_many_samples_as_its_sampler_has_in_batches() -> None:
    part = Part(np.zeros((20, 1), np.float32), np.arange(20) % 4, 0)
    assert Loader(part, 8).learnt == 20
    uneven = PerClass(np.array([0] * 3 + [1] * 17), classes=2, samples=2, seed=0)
    assert Loader(part, 8, sampler=uneven).learnt == 4 * len(uneven)
    assert Loader(part, 8, sampler=Episodes(np.arange(20) % 4, 2, 1, 1, 3)).learnt == 12


def test_a_batch_is_made_of_its_samples() -> None:
    plain = part(augmentations=())
    assert isinstance(plain.inputs, Pixels)
    (batch,) = Loader(plain, 20).in_order()
    assert batch.inputs.shape == (11, 3, 8, 6)
    assert (batch.inputs.dtype, batch.targets.dtype, batch.indices.dtype) == (torch.float32, torch.int64, torch.int64)
    assert batch.targets.tolist() == [number % 3 for number in range(11)]
    expected = plain.inputs.preprocess.normalise(plain.inputs.images.take(np.arange(2, 13))[::-1])
    assert np.array_equal(batch.inputs.numpy(), expected)


@pytest.mark.parametrize(("count", "batch", "sizes"), [(11, 4, [4, 4, 3]), (8, 4, [4, 4]), (3, 9, [3])])
def test_every_sample_comes_once_an_epoch(count: int, batch: int, sizes: list[int]) -> None:
    loader = Loader(part(count), batch)
    for batches in (indices(loader.training(0)), indices(loader.in_order())):
        assert [len(one) for one in batches] == sizes
        assert sorted(flat(batches)) == list(range(count))
    assert (loader.batches, loader.samples) == (len(sizes), count)
    assert flat(indices(loader.in_order())) == list(range(count))


@pytest.mark.parametrize(
    ("count", "world", "sizes"), [(9, 1, [4, 5]), (10, 1, [4, 4, 2]), (11, 2, [4, 7]), (8, 1, [4, 4]), (1, 1, [1])]
)
def test_a_last_batch_with_too_few_joins_the_one_before(count: int, world: int, sizes: list[int]) -> None:
    loaders = [Loader(part(count), 4, rank=rank, world=world, least=2) for rank in range(world)]
    assert [loader.batches for loader in loaders] == [len(sizes)] * world
    shares = [indices(loader.training(0)) for loader in loaders]
    assert [sum(map(len, mine)) for mine in zip(*shares, strict=True)] == sizes
    assert sorted(flat(flat(shares))) == list(range(count))
    assert all(indices(loaders[0].training(0, skip)) == shares[0][skip:] for skip in range(len(sizes) + 1))


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        return indices(Loader(part(seed=seed), 4).training(epoch))

    assert order(1, 2) == order(1, 2)
    assert len({str(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


def test_the_size_of_the_batch_does_not_change_the_order_or_the_pixels() -> None:
    by_index = [
        {
            int(index): image
            for batch in Loader(part(), size).training(3)
            for index, image in zip(batch.indices, batch.inputs, strict=True)
        }
        for size in (1, 4, 11)
    ]
    assert all(list(other) == list(by_index[0]) for other in by_index[1:])
    assert all(torch.equal(other[index], by_index[0][index]) for other in by_index[1:] for index in range(11))


def test_workers_change_nothing() -> None:
    alone, helped = Loader(part(), 4), Loader(part(), 4, workers=2)
    for one, other in ((alone.training(5), helped.training(5)), (alone.in_order(), helped.in_order())):
        pairs = list(zip(one, other, strict=True))
        assert len(pairs) == 3
        assert all(same(*pair) for pair in pairs)
        assert all(isinstance(batch, Batch) for pair in pairs for batch in pair)


def test_what_workers_have_no_room_for_is_prepared_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(tensor: torch.Tensor) -> None:
        del tensor
        raise RuntimeError("unable to allocate shared memory(shm): No space left on device (28)")

    expected = list(Loader(part(), 4).training(5))
    monkeypatch.setattr(torch.Tensor, "share_memory_", full)  # workers are forked, so it is theirs too
    found = list(Loader(part(), 4, workers=2).training(5))
    assert all(same(*pair) for pair in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    ("error", "line"),
    [(UserError("gone", where="a.png"), "a.png: gone"), (PermissionError(13, "denied", "b"), "b: denied")],
)
def test_a_mistake_that_a_worker_finds_is_one_line(
    error: Exception, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Part, "__getitem__", Mock(side_effect=error))
    with pytest.raises(UserError) as caught:
        list(Loader(part(), 4, workers=1).training(0))
    assert str(caught.value) == line


@pytest.mark.parametrize(("free", "fitting"), [(0, 0), (1 << 20, 0), (5 << 20, 1), (7 << 20, 2), (1 << 40, 3)])
def test_as_many_workers_as_shared_memory_has_room_for(
    free: int, fitting: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.statvfs", lambda _: SimpleNamespace(f_bavail=free // 4096, f_frsize=4096))
    assert workers_that_fit(3, 1 << 20) == fitting


def test_no_worker_starts_where_there_are_no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("multiprocessing.Lock", full)
    assert workers_that_fit(3, 1) == 0


@pytest.mark.parametrize("skip", [0, 1, 2, 3, 7])
def test_skipping_leaves_the_rest_as_it_was(skip: int) -> None:
    loader = Loader(part(), 4)
    whole, rest = list(loader.training(1)), list(loader.training(1, skip))
    assert len(rest) == max(0, 3 - skip)
    assert all(same(*pair) for pair in zip(whole[skip:], rest, strict=True))


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_processes_share_a_batch_and_their_weights_make_up_for_uneven_shares(world: int) -> None:
    whole = list(Loader(part(), 4).training(0))
    shares = [list(Loader(part(), 4, rank=rank, world=world).training(0)) for rank in range(world)]
    assert all(len(share) == len(whole) for share in shares)
    for number, batch in enumerate(whole):
        mine = [share[number] for share in shares]
        counted = [one for one in mine if one.weight]
        assert sorted(flat(one.indices.tolist() for one in counted)) == sorted(batch.indices.tolist())
        assert all(len(one.indices) for one in mine)
        assert np.mean([one.weight for one in mine]) == pytest.approx(1)
        # The weighted mean of the shares' mean losses is the mean loss of the batch.
        loss = np.mean([one.weight * one.inputs.mean(dtype=torch.float64) for one in mine])
        assert loss == pytest.approx(float(batch.inputs.mean(dtype=torch.float64)), abs=1e-9)


@pytest.mark.parametrize("world", [2, 3, 20])
def test_processes_judge_every_sample_once(world: int) -> None:
    shares = [indices(Loader(part(), 4, rank=rank, world=world).in_order()) for rank in range(world)]
    assert sorted(flat(flat(shares))) == list(range(11))


def test_augmentation_goes_by_the_index_in_the_part_and_the_epoch() -> None:
    first, second = (next(iter(Loader(part(), 11).training(epoch))) for epoch in (0, 1))
    again = next(iter(Loader(replace(part()), 11).training(0)))
    assert same(first, again)
    assert not torch.equal(first.inputs[first.indices.argsort()], second.inputs[second.indices.argsort()])
