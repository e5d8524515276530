"""Mosaics: four images with boxes laid side by side, so that objects are seen smaller and among others.

A. Bochkovskiy, C.-Y. Wang, H.-Y. Liao, "YOLOv4: Optimal Speed and Accuracy of Object Detection", 2020. The other images
are any of the part, not of the batch: what a sample becomes depends on (seed, epoch, index) alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from svertka.data.chance import uniform

MOSAIC = "mosaic"
"""How a recipe names it."""

_MOSAIC = 556  # tells these random numbers of a sample from others
_SHARE = 0.5  # of the samples that become mosaics
_MIDDLE = (0.35, 0.65)  # where the four images meet, as a share of the sides

Pair = tuple[NDArray[np.float32], NDArray[np.generic]]
"""Inputs ``(n, C, H, W)``, and targets of boxes as `svertka.data.batching.boxed` has them."""


@dataclass(frozen=True)
class Mosaic:
    """How the samples of a part become mosaics.

    Attributes:
        seed: Of the run.
    """

    seed: int = 0

    def partners(self, indices: NDArray[np.int64], epoch: int, count: int) -> list[NDArray[np.int64]]:
        """Which of ``count`` samples each is laid beside in this epoch: three times ``(n,)``."""
        return [(uniform(self.seed, epoch, indices, _MOSAIC, number) * count).astype(np.int64) for number in range(3)]

    def lay(self, pairs: Sequence[Pair], indices: NDArray[np.int64], epoch: int) -> Pair:
        """Half of the samples in the first of four pairs as mosaics: at the upper left, beside those of the others.

        Each image is stretched into its quarter, so that no box is cut.
        """
        draws = [uniform(self.seed, epoch, indices, _MOSAIC, number) for number in range(3, 6)]
        inputs = pairs[0][0].copy()
        targets = np.concatenate([np.asarray(told, np.float32) for _, told in pairs], axis=1)
        most = pairs[0][1].shape[1]
        height, width = inputs.shape[2:]
        for row, (drawn, across, down) in enumerate(zip(*draws, strict=True)):
            if drawn >= _SHARE:
                targets[row, most:] = 0
                targets[row, most:, 0] = -1
                continue
            x, y = (
                round(side * (_MIDDLE[0] + (_MIDDLE[1] - _MIDDLE[0]) * float(place)))
                for side, place in ((width, across), (height, down))
            )
            quarters = ((0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height))
            for number, (left, top, right, bottom) in enumerate(quarters):
                image = torch.from_numpy(pairs[number][0][row : row + 1])
                small = F.interpolate(image, (bottom - top, right - left), mode="bilinear", antialias=True)
                inputs[row, :, top:bottom, left:right] = small[0].numpy()
                told = targets[row, number * most : (number + 1) * most]
                scale = np.array([(right - left) / width, (bottom - top) / height] * 2, np.float32)
                told[:, 1:5] = told[:, 1:5] * scale + np.array([left / width, top / height] * 2, np.float32)
        return inputs, targets
