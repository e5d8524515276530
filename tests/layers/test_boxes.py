"""Anchors, box coding and matching: beside torchvision's, and by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.models.detection._utils import BoxCoder, Matcher
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import box_iou

from svertka.layers.anchors import flat, grid, spread
from svertka.layers.boxes import VARIANCES, centred, cornered, decode, encode
from svertka.layers.matching import BACKGROUND, IGNORED, bipartite, by_thresholds, in_crowds
from svertka.nets.ssd import default_shapes


def boxes(count: int, seed: int = 0) -> Tensor:
    drawn = torch.rand(count, 4, generator=torch.Generator().manual_seed(seed))
    corner = drawn[:, :2] * 0.7
    return torch.cat([corner, corner + 0.02 + drawn[:, 2:] * 0.28], dim=1)


def test_coding_there_and_back() -> None:
    found, anchors = boxes(50), boxes(50, 1)
    torch.testing.assert_close(cornered(centred(found)), found)
    for variances in (VARIANCES, (1.0, 1.0, 1.0, 1.0)):
        torch.testing.assert_close(decode(encode(found, anchors, variances), anchors, variances), found)


def test_coding_is_torchvisions() -> None:
    found, anchors = boxes(50), boxes(50, 1)
    theirs = BoxCoder((10.0, 10.0, 5.0, 5.0))
    torch.testing.assert_close(encode(found, anchors, VARIANCES), theirs.encode_single(found, anchors))
    wild = 8 * torch.randn(50, 4, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(decode(wild, anchors, VARIANCES), theirs.decode_single(wild, anchors))


@pytest.mark.parametrize("count", [6])
def test_default_boxes_of_ssd300_are_torchvisions(count: int) -> None:
    extents = [38, 19, 10, 5, 3, 1]
    strides = [8, 16, 32, 64, 64, 64]
    shapes = default_shapes(count, 0.07, 0.15)
    here = torch.cat(
        [
            grid((extent, extent), (step, step), sides, device=torch.device("cpu"))
            for extent, step, sides in zip(
                extents,
                [spread(extent, stride, 300) for extent, stride in zip(extents, strides, strict=True)],
                shapes,
                strict=True,
            )
        ]
    )
    generator = DefaultBoxGenerator(
        [[2], [2, 3], [2, 3], [2, 3], [2], [2]],
        scales=[0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05],
        steps=[8, 16, 32, 64, 100, 300],
    )
    image = ImageList(torch.empty(1, 3, 300, 300), [(300, 300)])
    (theirs,) = generator(image, [torch.empty(1, 1, extent, extent) for extent in extents])
    assert len(here) == 8732
    torch.testing.assert_close(here * 300, theirs, atol=1e-3, rtol=0)


def test_values_of_maps_are_in_the_order_of_anchors() -> None:
    shapes = ((0.1, 0.1), (0.3, 0.2))
    anchors = grid((2, 3), (0.5, 1 / 3), shapes, device=torch.device("cpu"))
    maps = torch.arange(2 * 4 * 2 * 3).reshape(1, 8, 2, 3)
    rows = flat(maps, 4)
    assert rows.shape == (1, 12, 4)
    for row in range(2):
        for column in range(3):
            for number in range(2):
                place = (row * 3 + column) * 2 + number
                assert rows[0, place].tolist() == maps[0, 4 * number : 4 * number + 4, row, column].tolist()
                middle = centred(anchors[place])
                torch.testing.assert_close(middle, torch.tensor([(column + 0.5) / 3, (row + 0.5) / 2, *shapes[number]]))


@pytest.mark.parametrize(("extent", "stride", "side", "step"), [(38, 8, 300, 8 / 300), (3, 64, 300, 1 / 3)])
def test_a_map_that_is_too_small_is_spread(extent: int, stride: int, side: int, step: float) -> None:
    assert spread(extent, stride, side) == pytest.approx(step)


def test_every_object_has_an_anchor_of_its_own() -> None:
    # Both overlap the first anchor most; the better of them gets it, the other the next best.
    overlaps = torch.tensor([[0.6, 0.1, 0.0, 0.0], [0.7, 0.2, 0.0, 0.55]])
    assert bipartite(overlaps, 0.5).tolist() == [1, 0, BACKGROUND, 1]
    overlaps = torch.tensor([[0.6, 0.1, 0.0, 0.3], [0.7, 0.2, 0.0, 0.2]])
    assert bipartite(overlaps, 0.5).tolist() == [1, BACKGROUND, BACKGROUND, 0]
    assert bipartite(torch.zeros(0, 3), 0.5).tolist() == [BACKGROUND] * 3


@pytest.mark.parametrize("keep_best", [False, True])
def test_matching_by_thresholds_is_torchvisions(keep_best: bool) -> None:
    overlaps = box_iou(boxes(7), boxes(400, 1))
    theirs = Matcher(0.5, 0.3, keep_best)(overlaps)
    assert torch.equal(by_thresholds(overlaps, 0.3, 0.5, keep_best=keep_best), theirs)
    assert set(theirs.tolist()) > {BACKGROUND, IGNORED}
    assert by_thresholds(torch.zeros(0, 3), 0.3, 0.5, keep_best=keep_best).tolist() == [BACKGROUND] * 3


def test_what_lies_in_a_crowd() -> None:
    anchors = torch.tensor([[0.0, 0.0, 0.2, 0.2], [0.3, 0.3, 0.5, 0.5], [0.8, 0.8, 1.0, 1.0]])
    crowds = torch.tensor([[0.0, 0.0, 0.4, 1.0]])
    assert in_crowds(anchors, crowds).tolist() == [True, False, False]
    assert in_crowds(anchors, torch.zeros(0, 4)).tolist() == [False] * 3
