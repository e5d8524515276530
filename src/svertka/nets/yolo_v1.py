"""YOLO.

J. Redmon, S. Divvala, R. Girshick, A. Farhadi, "You Only Look Once: Unified, Real-Time Object Detection", CVPR 2016.

New then: finding is one regression, from the whole image to boxes. A grid lies over the image; the cell in which an
object's middle lies says what it is, and a few boxes with how sure it is of each. Fully connected layers see the whole
image, so that little of the background is taken for objects.

Departures:
- the trunk can be that of any classifier; the paper's own has 20 convolutions;
- the convolutions behind the trunk are normalised;
- all boxes begin in the middle of their cell, a quarter of the image wide and high, where the paper says nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from svertka.layers.activation import Leaky
from svertka.layers.anchors import middles
from svertka.layers.convolution import ConvNorm
from svertka.layers.dense import Decoder, resolutions
from svertka.layers.detector import Detector, Grid
from svertka.layers.initialisation import he_normal, normal_linear
from svertka.layers.trunk import Trunk

_VALUES = 5  # of a box: x, y, the square roots of width and height, and how sure the cell is of it
_BEGINNING = 0.5  # all four of the former, of every box

_Conv = partial(ConvNorm, activation=Leaky)


class YOLOv1(Detector):
    """A grid over the image, which fully connected layers fill by a trunk's coarsest maps.

    Args:
        trunk: The stages.
        classes: Number of classes.
        image_size: Side of the images, in pixels: says how large the maps are that the fully connected layers read.
        grid: Cells a side.
        boxes: Of a cell.
        width: Number of channels of the four convolutions behind the trunk; 1,024 in the paper.
        hidden: Number of units of the hidden layer; 4,096 in the paper.
        dropout: Share of them that is left out in training.
    """

    def __init__(
        self,
        *,
        trunk: Trunk,
        classes: int = 20,
        image_size: int = 448,
        grid: int = 7,
        boxes: int = 2,
        width: int = 256,
        hidden: int = 1024,
        dropout: float = 0.5,
    ) -> None:
        decoder = FullyConnectedGrid(trunk, classes, image_size, grid, boxes, width, hidden, dropout)
        super().__init__(trunk, decoder, classes=classes)


class FullyConnectedGrid(Decoder):
    """Four convolutions, the second of which halves the maps where they are finer than the grid, and two layers."""

    def __init__(
        self,
        trunk: Trunk,
        classes: int,
        image_size: int,
        grid: int,
        boxes: int,
        width: int,
        hidden: int,
        dropout: float,
    ) -> None:
        coarsest = resolutions(trunk)[-1]
        super().__init__([coarsest.last])
        side = trunk.shapes(image_size, image_size)[coarsest.last][-1]
        stride = 2 if side >= 2 * grid else 1
        self.layers = nn.Sequential(
            OrderedDict(
                conv1=_Conv(coarsest.last_channels, width, 3),
                conv2=_Conv(width, width, 3, stride=stride),
                conv3=_Conv(width, width, 3),
                conv4=_Conv(width, width, 3),
                flatten=nn.Flatten(),
                fc5=nn.Linear(width * (-(-side // stride)) ** 2, hidden),
                leaky5=Leaky(),
                dropout=nn.Dropout(dropout),
            )
        )
        self.score = nn.Linear(hidden, grid**2 * (_VALUES * boxes + classes))
        self.grid, self.boxes, self.classes = grid, boxes, classes
        he_normal(self, "fan_in")
        normal_linear(self)
        bias = self.score.bias.data.view(grid**2, -1)[:, : _VALUES * boxes]
        bias.view(grid**2, boxes, _VALUES)[..., :4].fill_(_BEGINNING)

    def forward(self, maps: Sequence[Tensor], size: tuple[int, int]) -> Grid:
        del size  # boxes are told in cells
        said = self.score(self.layers(maps[0])).unflatten(1, (self.grid**2, -1))
        boxes = said[..., : _VALUES * self.boxes].unflatten(2, (self.boxes, _VALUES))
        cell = torch.full((2,), 1 / self.grid, device=said.device)
        corners = middles((self.grid, self.grid), (1 / self.grid, 1 / self.grid), device=said.device, at=0.0)
        return Grid(boxes[..., :4], boxes[..., 4], said[..., _VALUES * self.boxes :], corners, cell)
