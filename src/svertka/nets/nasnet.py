"""NASNet-A, for ImageNet.

B. Zoph, V. Vasudevan, J. Shlens, Q. V. Le, "Learning Transferable Architectures for Scalable Image Recognition",
CVPR 2018 (arXiv 2017).

New then: a recurrent network, rewarded by the accuracy reached on CIFAR-10, designed two cells, which were then
stacked and widened for ImageNet. A cell combines the outputs of the two cells before it.

How it is cut into stages: a stage hands on one tensor, so the outputs of the last two cells travel together,
concatenated, the newer one first. Where a reduction cell halves the maps, the older output is halved too (the
authors do so at the start of the next cell; it is the same computation).

Departures: no auxiliary classifier and no ScheduledDropPath, as in Keras and timm; the statistics of batch
normalisation follow with a momentum of 0.1 instead of 0.0003, which would take 10,000 steps to forget a data set.
"""

from __future__ import annotations

import math
from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from svertka.layers.head import LinearHead
from svertka.layers.initialisation import he_normal
from svertka.layers.padding import AS_GOOD_AS_ZERO, SamePadding
from svertka.layers.trunk import Classifier, Trunk

_EPSILON = 1e-3


class NASNet(Classifier):
    """NASNet-A (``cells`` @ ``features``), right of figure 2.

    Args:
        cells: N, the number of normal cells at each of three resolutions.
        features: Number of channels of the last cell, "penultimate filters"; a multiple of 96.
        stem: Number of channels of the first convolution.
        skip_reduction: The older of the two outputs behind a reduction cell is that of the last cell but one before
            it, as in NASNet-Large, instead of that of the last one, as in NASNet-Mobile.
        zero_border: Maximum pooling in reduction cells sees zeros around the maps, as Keras does, instead of nothing.
        dropout: Share of the last features that are dropped in training.
        classes: Number of classes.
        in_channels: Number of channels of the images.

    Raises:
        ValueError: ``features`` is no multiple of 96.
    """

    def __init__(
        self,
        *,
        cells: int = 4,
        features: int = 1056,
        stem: int = 32,
        skip_reduction: bool = False,
        zero_border: bool = False,
        dropout: float = 0.5,
        classes: int = 1000,
        in_channels: int = 3,
    ) -> None:
        if features % 96:
            raise ValueError(f"{features} features are no multiple of 96")
        filters = features // 24  # a normal cell gives six times, a reduction cell four times as many
        first = nn.Conv2d(in_channels, stem, 3, stride=2, bias=False)
        stages: dict[str, nn.Module] = {"stem": nn.Sequential(OrderedDict(conv=first, norm=_norm(stem)))}
        newer, older = stem, 0
        for number, (width, following) in enumerate(
            [
                (filters // 4, filters // 2),
                (filters // 2, filters),
                (2 * filters, 2 * filters),
                (4 * filters, 4 * filters),
            ],
            start=1,
        ):
            skip = skip_reduction and number > 2
            stages[f"reduction{number}"] = Reduction(newer, older, width, following, skip, zero_border)
            newer, older = 4 * width, following
            if number > 1:
                stages[f"normal{number - 1}"] = Normal(newer, older, following, cells, last=number == 4)
                newer, older = 6 * following, 6 * following if cells > 1 else newer
        super().__init__(
            Trunk(stages, in_channels=in_channels), LinearHead(features, classes, dropout=dropout), classes=classes
        )
        he_normal(self, "fan_in")


class Normal(nn.Module):
    """A stage of normal cells; gives the outputs of the last two, or only the last one, rectified.

    Args:
        newer: Channels of the newer output that comes in.
        older: Channels of the older output that comes in.
        filters: Channels inside the cells.
        cells: Number of cells.
        last: It is the last stage.
    """

    def __init__(self, newer: int, older: int, filters: int, cells: int, *, last: bool) -> None:
        super().__init__()
        self.cells = nn.ModuleList()
        for _ in range(cells):
            self.cells.append(NormalCell(newer, older, filters))
            newer, older = 6 * filters, newer
        self.activation = nn.ReLU() if last else None

    def forward(self, x: Tensor) -> Tensor:
        newer, older = _parted(x, self.cells[0])
        for cell in self.cells:
            newer, older = cell(newer, older), newer
        if self.activation is None:
            return torch.cat([newer, older], dim=1)
        rectified: Tensor = self.activation(newer)
        return rectified


class Reduction(nn.Module):
    """A stage of one reduction cell; gives its output and an older one, both at half the size.

    Args:
        newer: Channels of the newer output that comes in.
        older: Channels of the older output that comes in; 0 if there is none yet.
        filters: Channels inside the cell.
        following: Channels inside the next cell, and of the older output that is given.
        skip: The older output that comes in is the one to hand on, instead of the newer.
        zero_border: See `NASNet`.
    """

    def __init__(self, newer: int, older: int, filters: int, following: int, skip: bool, zero_border: bool) -> None:
        super().__init__()
        self.two = bool(older)
        self.skip = skip
        self.cell = ReductionCell(newer, older, filters, zero_border)
        self.halving = FactorisedReduction(older if skip else newer, following)

    def forward(self, x: Tensor) -> Tensor:
        newer, older = _parted(x, self.cell) if self.two else (x, x)
        return torch.cat([self.cell(newer, older), self.halving(older if self.skip else newer)], dim=1)


class NormalCell(nn.Module):
    """Figure 4, left: five sums of two branches each, and the older input itself."""

    def __init__(self, newer: int, older: int, filters: int) -> None:
        super().__init__()
        self.newer = squeeze(newer, filters)
        self.older = nn.Identity() if older == filters else squeeze(older, filters)
        self.left1 = separable(filters, filters, 5)
        self.right1 = separable(filters, filters, 3)
        self.left2 = separable(filters, filters, 5)
        self.right2 = separable(filters, filters, 3)
        self.left5 = separable(filters, filters, 3)
        self.average = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)

    def forward(self, newer: Tensor, older: Tensor) -> Tensor:
        h, p = self.newer(newer), self.older(older)
        average = self.average(p)
        return torch.cat(
            [
                p,
                self.left1(h) + self.right1(p),
                self.left2(p) + self.right2(p),
                self.average(h) + p,
                average + average,  # so the search had it
                self.left5(h) + h,
            ],
            dim=1,
        )


class ReductionCell(nn.Module):
    """Figure 4, right: halves the maps; the first sum is used only by the last two."""

    def __init__(self, newer: int, older: int, filters: int, zero_border: bool) -> None:
        super().__init__()
        self.newer = squeeze(newer, filters)
        self.older = squeeze(older, filters) if older not in (0, filters) else nn.Identity()
        width = filters if older else newer  # the first cell of all takes its input as it is
        self.left1 = separable(filters, filters, 5, stride=2)
        self.right1 = separable(width, filters, 7, stride=2)
        self.right2 = separable(width, filters, 7, stride=2)
        self.right3 = separable(width, filters, 5, stride=2)
        self.left5 = separable(filters, filters, 3)
        border = AS_GOOD_AS_ZERO if zero_border else -math.inf
        self.maximum = nn.Sequential(SamePadding(3, 2, border), nn.MaxPool2d(3, stride=2))
        self.average = nn.Sequential(SamePadding(3, 2), nn.AvgPool2d(3, stride=2))
        self.average_same = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)

    def forward(self, newer: Tensor, older: Tensor) -> Tensor:
        h, p = self.newer(newer), self.older(older)
        maximum = self.maximum(h)
        x1 = self.left1(h) + self.right1(p)
        x2 = maximum + self.right2(p)
        x3 = self.average(h) + self.right3(p)
        x4 = self.average_same(x1) + x2
        x5 = self.left5(x1) + maximum
        return torch.cat([x2, x3, x4, x5], dim=1)


class FactorisedReduction(nn.Module):
    """Halves maps: pixels in even rows and columns give half of the channels, those in odd ones the other half.

    Args:
        inputs: Number of channels that come in.
        outputs: Number of channels that go out.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.activation = nn.ReLU()
        self.even = nn.Conv2d(inputs, outputs // 2, 1, bias=False)
        self.odd = nn.Conv2d(inputs, outputs // 2, 1, bias=False)
        self.norm = _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(x)
        shifted = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        halves = [self.even(x[:, :, ::2, ::2]), self.odd(shifted[:, :, ::2, ::2])]
        y: Tensor = self.norm(torch.cat(halves, dim=1))
        return y


def squeeze(inputs: int, outputs: int) -> nn.Sequential:
    """ReLU, 1 × 1 convolution, normalisation: brings an input of a cell to the cell's number of channels."""
    conv = nn.Conv2d(inputs, outputs, 1, bias=False)
    return nn.Sequential(OrderedDict(activation=nn.ReLU(), conv=conv, norm=_norm(outputs)))


def separable(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """ReLU, separable convolution, normalisation: twice; the stride is the first convolution's."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, (width, step) in enumerate([(inputs, stride), (outputs, 1)], start=1):
        layers[f"activation{number}"] = nn.ReLU()
        if step > 1:
            layers["pad"] = SamePadding(kernel, step)
        padding = 0 if step > 1 else kernel // 2
        layers[f"depthwise{number}"] = nn.Conv2d(width, width, kernel, step, padding, groups=width, bias=False)
        layers[f"pointwise{number}"] = nn.Conv2d(width, outputs, 1, bias=False)
        layers[f"norm{number}"] = _norm(outputs)
    return nn.Sequential(layers)


def _parted(x: Tensor, cell: nn.Module) -> tuple[Tensor, Tensor]:
    # The newer output has as many channels as the cell's layer that squeezes it takes, however narrow that was made.
    squeezed = cell.get_submodule("newer.conv")
    assert isinstance(squeezed, nn.Conv2d)
    newer, older = torch.split(x, [squeezed.in_channels, x.shape[1] - squeezed.in_channels], dim=1)
    return newer, older


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_EPSILON)
