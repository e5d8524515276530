"""A small convolutional network that gives a vector of length one.

F. Schroff, D. Kalenichenko, J. Philbin, "FaceNet: A Unified Embedding for Face Recognition and Clustering", CVPR 2015.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from svertka.layers.trunk import Trunk


class SmallEmbedder(nn.Module):
    """Two convolutions and a projection onto the unit sphere.

    Args:
        dimensions: Length of the vector.
        in_channels: Channels of the images.
        width: Channels after the first stage.
    """

    output_names = ("vector",)

    def __init__(self, *, dimensions: int = 8, in_channels: int = 1, width: int = 16) -> None:
        super().__init__()
        self.in_channels, self.dimensions = in_channels, dimensions
        self.trunk = Trunk(
            {
                "c1": nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
                "c2": nn.Sequential(nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU()),
            },
            in_channels=in_channels,
        )
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(8 * width, dimensions))

    def forward(self, images: Tensor) -> Tensor:
        """Unit vectors ``(N, dimensions)`` of images ``(N, in_channels, H, W)``."""
        return F.normalize(self.head(self.trunk(images)), dim=1)

    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        """What the exported graph gives."""
        return {"vector": self(images)}
