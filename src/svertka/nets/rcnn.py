"""R-CNN.

R. Girshick, J. Donahue, T. Darrell, J. Malik, "Rich feature hierarchies for accurate object detection and semantic
segmentation", CVPR 2014.

New then: what a network has learnt from images of one object each finds objects. Regions that selective search
proposes are cut out with a little of what is around them, warped to one size whatever their shape, and run through the
network one by one; a linear support vector machine for each class looks at what comes out, and a ridge regression says
how far off the region is.

Departures:
- the trunk can be that of any classifier, and its last maps are averaged; the paper takes AlexNet's fc7, or pool5 to
  regress from;
- crops are 112 pixels a side, not 227, and fewer, not 2,000, for each costs a run of the trunk;
- the trunk stays as its weights have it; the paper tunes it on the crops first;
- scores are brought between 0 and 1 by a sigmoid (`svertka.training.region_machines`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

from svertka.layers.boxes import decode
from svertka.layers.dense import Decoder, stages
from svertka.layers.detector import Detector, Found
from svertka.layers.regions import in_pixels, whole
from svertka.layers.trunk import Trunk

_CONTEXT = 16 / 227  # of a crop's side, at each border: what is around the region
_SAMPLES = 2  # a side, of which a pixel of a crop is the mean


class RCNN(Detector):
    """A linear machine for each class that looks at what a trunk makes of each region, warped to one size.

    Args:
        trunk: The stages.
        classes: Number of classes.
        crop: Side that a region is warped to, in pixels.
    """

    regions = 200

    def __init__(self, *, trunk: Trunk, classes: int = 20, crop: int = 112) -> None:
        super().__init__(trunk, LinearMachines(trunk, classes), classes=classes)
        self.crop = crop

    def forward(self, x: Tensor, *given: Any) -> Found:
        """What is found in regions ``(N, R, 4)`` of images ``(N, in_channels, H, W)``; without any, in all of each."""
        regions = given[0] if given else whole(x)
        found: Found = self.decode(self.trunk.pyramid(self.crops(x, regions)), (self.crop, self.crop), regions)
        return found

    def crops(self, x: Tensor, regions: Tensor) -> Tensor:
        """Regions ``(N, R, 4)`` of images, with what is around them, warped: ``(N · R, C, crop, crop)``.

        Outside the image there is nought, which is the mean colour.
        """
        rows = in_pixels(regions, (x.shape[2], x.shape[3]))
        middles, sides = (rows[:, 1:3] + rows[:, 3:]) / 2, rows[:, 3:] - rows[:, 1:3]
        half = sides / (2 * (1 - 2 * _CONTEXT))
        widened = torch.cat([rows[:, :1], middles - half, middles + half], dim=1)
        crops: Tensor = roi_align(x, widened, self.crop, 1.0, sampling_ratio=_SAMPLES, aligned=True)
        return crops


class LinearMachines(Decoder):
    """A score for each class, and how far off its box is, from the mean of a trunk's last maps."""

    regions = RCNN.regions

    def __init__(self, trunk: Trunk, classes: int) -> None:
        name, (channels, _) = list(stages(trunk).items())[-1]
        super().__init__([name])
        self.score = nn.Linear(channels, classes)
        self.offsets = nn.Linear(channels, 4 * classes)
        for layer in (self.score, self.offsets):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)

    def forward(self, maps: Sequence[Tensor], size: tuple[int, int], *given: Tensor) -> Found:
        del size
        regions = given[0] if given else whole(maps[0])
        features = maps[0].mean(dim=(2, 3))
        scores = self.score(features).float().sigmoid().unflatten(0, regions.shape[:2])
        offsets = self.offsets(features).float().unflatten(0, regions.shape[:2]).unflatten(2, (-1, 4))
        return Found(decode(offsets, regions[:, :, None]), scores)
