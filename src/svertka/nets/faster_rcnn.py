"""Faster R-CNN, without and with a feature pyramid.

S. Ren, K. He, R. Girshick, J. Sun, "Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks",
NIPS 2015; T.-Y. Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017.

New then: a small network that slides over the trunk's maps proposes where objects may be, by how they differ from
anchors; a second stage looks into each proposal, cut from the same maps, and says what is there. A pyramid brings what
coarse maps know to fine ones, so that each proposal is cut from maps that suit its size.

Departures:
- the trunk can be that of any classifier;
- regions are cut by RoIAlign (K. He et al., "Mask R-CNN", 2017), where the paper rounds to whole cells;
- both stages learn at once, where the paper took turns.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import nms, roi_align

from svertka.layers.anchors import flat, grid
from svertka.layers.boxes import decode
from svertka.layers.dense import Decoder, resolutions
from svertka.layers.detector import Choose, Detector, Regions
from svertka.layers.regions import in_pixels
from svertka.layers.trunk import Trunk

_RATIOS = (0.5, 1.0, 2.0)  # of an anchor's height to its width
_SIDES = (32, 64, 128, 256, 512)  # of the anchors on maps of one resolution, in pixels
_SIDE = 8  # the same in a pyramid, in strides of its level
_OVERLAP, _CANDIDATES = 0.7, 1000  # IoU of proposals of which one is left out; how many a level has before
_POOLED = 7  # cells a side that a region is cut into
_USUAL, _USUAL_LEVEL = 224, 4  # a region of so many pixels a side is cut from the level of stride 2⁴


class FasterRCNN(Detector):
    """Proposals on the maps of a trunk, and what is in them.

    Args:
        trunk: The stages.
        classes: Number of classes, without the background.
        pyramid: Build a pyramid on the maps at strides of 4 to 32; else the last maps at a stride of up to 16 are used.
        width: Number of channels of the pyramid.
        hidden: Number of units of the second stage's two hidden layers.
        proposals: Regions of an image that the second stage looks into.
    """

    def __init__(
        self,
        *,
        trunk: Trunk,
        classes: int = 20,
        pyramid: bool = True,
        width: int = 256,
        hidden: int = 1024,
        proposals: int = 300,
    ) -> None:
        super().__init__(trunk, TwoStages(trunk, classes, pyramid, width, hidden, proposals), classes=classes)


class TwoStages(Decoder):
    """The network that proposes regions, and the one that looks into them."""

    chooses = True

    def __init__(self, trunk: Trunk, classes: int, pyramid: bool, width: int, hidden: int, proposals: int) -> None:
        every = resolutions(trunk)
        low, high = (4, 32) if pyramid else (1, 16)
        found = [resolution for resolution in every if low <= resolution.stride <= high] or every[-1:]
        found = found if pyramid else found[-1:]
        super().__init__([resolution.last for resolution in found])
        channels, self.strides = [level.last_channels for level in found], [level.stride for level in found]
        self.pyramid = FeaturePyramid(channels, width) if pyramid else None
        inputs = width if pyramid else channels[-1]
        self.sides = [[float(_SIDE * stride)] for stride in self.strides] if pyramid else [list(map(float, _SIDES))]
        if pyramid:  # its coarsest maps, for proposals alone
            self.sides.append([2.0 * _SIDE * self.strides[-1]])
        anchors = len(self.sides[0]) * len(_RATIOS)
        self.sliding = nn.Sequential(OrderedDict(conv=nn.Conv2d(inputs, inputs, 3, padding=1), relu=nn.ReLU()))
        self.objectness = nn.Conv2d(inputs, anchors, 1)
        self.ways = nn.Conv2d(inputs, 4 * anchors, 1)
        self.looking = nn.Sequential(
            OrderedDict(
                flatten=nn.Flatten(),
                fc6=nn.Linear(inputs * _POOLED**2, hidden),
                relu6=nn.ReLU(),
                fc7=nn.Linear(hidden, hidden),
                relu7=nn.ReLU(),
            )
        )
        self.score = nn.Linear(hidden, 1 + classes)
        self.offsets = nn.Linear(hidden, 4 * (1 + classes))
        self.proposals = proposals
        for layer in (*self.sliding, self.objectness, self.ways, self.score, self.offsets):
            if isinstance(layer, nn.Conv2d | nn.Linear):
                assert layer.bias is not None
                nn.init.normal_(layer.weight, std=0.001 if layer is self.offsets else 0.01)
                nn.init.zeros_(layer.bias)

    def forward(self, maps: Sequence[Tensor], size: tuple[int, int], *choose: Choose) -> Regions:
        levels = list(maps) if self.pyramid is None else self.pyramid(maps)
        slid = [self.sliding(x) for x in levels]
        objectness = [flat(self.objectness(x), 1)[..., 0] for x in slid]
        ways = [flat(self.ways(x), 4) for x in slid]
        anchors = self._anchors(levels, size)
        regions = propose(objectness, ways, anchors, self.proposals)
        if choose:
            regions = choose[0](regions)
        images, count = regions.shape[:2]
        hidden = self.looking(cut(levels[: len(self.strides)], self.strides, regions, size))
        logits = self.score(hidden).reshape(images, count, -1)
        offsets = self.offsets(hidden).reshape(images, count, -1, 4)
        return Regions(
            logits, offsets, regions, torch.cat(objectness, dim=1), torch.cat(ways, dim=1), torch.cat(anchors)
        )

    def _anchors(self, levels: Sequence[Tensor], size: tuple[int, int]) -> list[Tensor]:
        height, width = size
        strides = [*self.strides, 2 * self.strides[-1]]
        found = []
        for x, stride, sides in zip(levels, strides, self.sides, strict=False):
            # Half a side is rounded to a pixel, and anchors stand at the corners of cells: as torchvision has them.
            shapes = [
                (2 * round(side / math.sqrt(ratio) / 2) / width, 2 * round(side * math.sqrt(ratio) / 2) / height)
                for ratio in _RATIOS
                for side in sides
            ]
            steps = stride / height, stride / width
            found.append(grid((x.shape[2], x.shape[3]), steps, shapes, device=x.device, at=0.0))
        return found


class FeaturePyramid(nn.Module):
    """Maps of one width at all resolutions, each of which knows what coarser ones do; and coarser ones, by pooling."""

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(inputs, width, 1) for inputs in channels)
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in channels)
        for layer in (*self.lateral, *self.smooth):
            assert isinstance(layer, nn.Conv2d)
            assert layer.bias is not None
            nn.init.kaiming_uniform_(layer.weight, a=1)
            nn.init.zeros_(layer.bias)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        x: Tensor | None = None
        found: list[Tensor] = []
        for lateral, smooth, given in reversed(list(zip(self.lateral, self.smooth, maps, strict=True))):
            here = lateral(given)
            x = here if x is None else here + F.interpolate(x, size=here.shape[2:], mode="nearest")
            found.insert(0, smooth(x))
        return [*found, F.max_pool2d(found[-1], 1, stride=2)]


@torch.no_grad()
def propose(objectness: Sequence[Tensor], ways: Sequence[Tensor], anchors: Sequence[Tensor], count: int) -> Tensor:
    """The likeliest boxes of all levels of which none lies over another of its level, ``(N, count, 4)``.

    Where there are fewer, others are without area.

    Args:
        objectness: By level, logits of the anchors, ``(N, A)``.
        ways: By level, offsets from the anchors, ``(N, A, 4)``.
        anchors: By level, ``(A, 4)``.
        count: How many to propose; fewer if there are not as many anchors.
    """
    boxes, scores, levels = [], [], []
    for number, (logits, offsets, these) in enumerate(zip(objectness, ways, anchors, strict=True)):
        best, places = logits.float().topk(min(_CANDIDATES, logits.shape[1]), dim=1)
        taken = offsets.float().gather(1, places[..., None].expand(-1, -1, 4))
        boxes.append(decode(taken, these[places]).clamp(0, 1))
        scores.append(best)
        levels.append(torch.full_like(best, number))
    every, ranked = torch.cat(boxes, dim=1), torch.cat(scores, dim=1)
    kept = (every[..., 2:] > every[..., :2]).all(dim=-1)
    if not every.is_meta:  # there, nobody knows how many are left
        # What is not of one level of one image is moved apart, and so all can be looked at together.
        images = torch.arange(every.shape[0], device=every.device, dtype=every.dtype)[:, None]
        apart = 2 * (images * len(anchors) + torch.cat(levels, dim=1))
        left = nms((every + apart[..., None]).reshape(-1, 4), ranked.reshape(-1), _OVERLAP)
        flags = torch.zeros_like(kept).reshape(-1)
        flags[left] = True
        kept = kept & flags.reshape(kept.shape)
    best, places = ranked.masked_fill(~kept, -torch.inf).topk(min(count, ranked.shape[1]), dim=1)
    chosen = every.gather(1, places[..., None].expand(-1, -1, 4))
    return chosen * (best > -torch.inf)[..., None]


def cut(levels: Sequence[Tensor], strides: Sequence[int], regions: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut regions ``(N, R, 4)`` out of the maps of the level that suits their size: ``(N · R, C, 7, 7)``.

    Args:
        levels: Maps, finest first.
        strides: Of the maps, in pixels.
        regions: As shares of the image.
        size: Height and width of the images, in pixels.
    """
    rows = in_pixels(regions, size)
    pixels = rows[:, 1:]
    if len(levels) == 1 or rows.is_meta:
        return _aligned(levels[0], rows, strides[0])
    extent = (pixels[:, 2:] - pixels[:, :2]).prod(dim=1).sqrt()
    level = torch.floor(_USUAL_LEVEL + torch.log2(extent / _USUAL) + 1e-6)
    first = math.log2(strides[0])
    numbers = (level.clamp(min=first, max=first + len(levels) - 1) - first).long()
    result = pixels.new_zeros(rows.shape[0], levels[0].shape[1], _POOLED, _POOLED)
    for number, (maps, stride) in enumerate(zip(levels, strides, strict=True)):
        (here,) = torch.where(numbers == number)
        result[here] = _aligned(maps, rows[here], stride)
    return result


def _aligned(maps: Tensor, rows: Tensor, stride: int) -> Tensor:
    pooled: Tensor = roi_align(maps.float(), rows, _POOLED, 1 / stride, sampling_ratio=2)
    return pooled
