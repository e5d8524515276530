"""The most active units over a whole data set, and just the pixels that they see."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from svertka.explaining.patches import top_units, window
from svertka.layers.receptive_field import Field


def test_the_best_of_all_images_one_an_image(small) -> None:
    net = small()
    images = torch.randn(50, 3, 12, 10, generator=torch.Generator().manual_seed(3))
    found = top_units(net, {"second": net.second}, images.split(7), k=4)["second"]
    with torch.no_grad():
        maps = net.second(net.pool(net.relu1(net.norm(net.first(images)))))
    largest = maps.flatten(2).amax(dim=2)
    expected, numbers = largest.topk(4, dim=0)
    torch.testing.assert_close(found.values, expected.T)
    assert torch.equal(found.images, numbers.T)
    torch.testing.assert_close(found.mean, largest.mean(dim=0))
    for channel in range(8):
        for rank in range(4):
            place = (found.images[channel, rank], channel, found.rows[channel, rank], found.columns[channel, rank])
            torch.testing.assert_close(maps[place], found.values[channel, rank])


def test_fewer_images_than_asked_for(small, images: Tensor) -> None:
    net = small()
    found = top_units(net, {"second": net.second}, [images[:2]], k=9)["second"]
    assert found.values.shape == (8, 2)
    with pytest.raises(ValueError, match="no images"):
        top_units(net, {"second": net.second}, [])


def test_others_watch_on_the_same_pass(small, images: Tensor) -> None:
    net, seen = small(), []
    top_units(net, {"first": net.first}, images.split(2), beside={"first": lambda maps: seen.append(len(maps))})
    assert seen == [2, 2]


def test_memory_does_not_grow_with_the_images(small) -> None:
    net = small()

    def batches(count: int) -> Iterator[Tensor]:
        for seed in range(count):
            yield torch.randn(8, 3, 12, 10, generator=torch.Generator().manual_seed(seed))

    def kept(count: int) -> int:
        found = top_units(net, {"second": net.second}, batches(count))["second"]
        return sum(x.untyped_storage().nbytes() for x in (found.values, found.images, found.rows, found.columns))

    assert kept(2) == kept(40)


def test_selective_channels_come_first_and_dead_ones_not_at_all() -> None:
    net = nn.Identity()
    images = torch.ones(20, 3, 2, 2)
    images[:, 0] = -1.0  # never active
    images[4:9, 2] = 100.0  # by few images
    found = top_units(net, {"all": net}, [images], k=3)["all"]
    assert found.selective(5) == [2, 1]
    assert found.selective(1) == [2]


def test_windows_are_cut_at_the_border() -> None:
    sees = (Field(5, 2, -2), Field(3, 1, 0))
    assert window(sees, 0, 0, 20, 30) == (0, 0, 3, 3)
    assert window(sees, 4, 10, 20, 30) == (6, 10, 11, 13)
    assert window(sees, 9, 29, 20, 30) == (16, 29, 20, 30)
    everything = (Field(float("inf"), float("inf"), float("-inf")),) * 2
    assert window(everything, 0, 0, 20, 30) == (0, 0, 20, 30)
