"""Fast R-CNN.

R. Girshick, "Fast R-CNN", ICCV 2015.

New then, over R-CNN: the trunk runs once over the image, and every region that was proposed is cut from its maps by RoI
pooling, so that one network learns what is in a region and where, trunk included, in one go. Where objects may be is
still told from outside, by selective search (`svertka.runtime.proposals`).

Departures:
- the trunk can be that of any classifier;
- fewer regions are proposed: the paper has some 2,000;
- 128 regions of every image are learnt from, where the paper has 64.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn
from torchvision.ops import roi_pool

from svertka.layers.dense import Decoder, resolutions
from svertka.layers.detector import Detector, Looked
from svertka.layers.regions import in_pixels, whole
from svertka.layers.trunk import Trunk

_POOLED = 7  # cells a side that a region is cut into
_COARSEST = 16  # stride of the maps that regions are cut from, in pixels, at most


class FastRCNN(Detector):
    """What is in regions that are proposed, cut from the last maps of a trunk at a stride of up to 16.

    Args:
        trunk: The stages.
        classes: Number of classes, without the background.
        hidden: Number of units of the two hidden layers; 4,096 in the paper.
        dropout: Share of them that is left out in training.
    """

    regions = 500

    def __init__(self, *, trunk: Trunk, classes: int = 20, hidden: int = 1024, dropout: float = 0.5) -> None:
        super().__init__(trunk, PooledRegions(trunk, classes, hidden, dropout), classes=classes)


class PooledRegions(Decoder):
    """Regions cut from maps, two fully connected layers, and what they say of each."""

    regions = FastRCNN.regions

    def __init__(self, trunk: Trunk, classes: int, hidden: int, dropout: float) -> None:
        every = resolutions(trunk)
        level = [*every[:1], *(found for found in every if found.stride <= _COARSEST)][-1]
        super().__init__([level.last])
        self.stride = level.stride
        self.looking = nn.Sequential(
            OrderedDict(
                flatten=nn.Flatten(),
                fc6=nn.Linear(level.last_channels * _POOLED**2, hidden),
                relu6=nn.ReLU(),
                drop6=nn.Dropout(dropout),
                fc7=nn.Linear(hidden, hidden),
                relu7=nn.ReLU(),
                drop7=nn.Dropout(dropout),
            )
        )
        self.score = nn.Linear(hidden, 1 + classes)
        self.offsets = nn.Linear(hidden, 4 * (1 + classes))
        for layer, deviation in ((self.score, 0.01), (self.offsets, 0.001)):
            nn.init.normal_(layer.weight, std=deviation)
            nn.init.zeros_(layer.bias)

    def forward(self, maps: Sequence[Tensor], size: tuple[int, int], *given: Tensor) -> Looked:
        regions = given[0] if given else whole(maps[0])
        images, count = regions.shape[:2]
        pooled = roi_pool(maps[0].float(), in_pixels(regions, size), _POOLED, 1 / self.stride)
        hidden = self.looking(pooled)
        offsets = self.offsets(hidden).reshape(images, count, -1, 4)
        return Looked(self.score(hidden).reshape(images, count, -1), offsets, regions)
