"""The contract of networks that find objects: a trunk of named stages, then a decoder that says where what is.

What a decoder says is one of the kinds below. The kind decides how it is learnt, in the task, and each can tell which
boxes it has `found`. Boxes are left, top, right and bottom as fractions of the image's width and height, so that they
are the same whatever the image's size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from svertka.layers.boxes import VARIANCES, cornered, decode, growth
from svertka.layers.dense import Tapped


class Found(NamedTuple):
    """Boxes, before any of them is left out.

    Attributes:
        boxes: ``(N, A, 4)``; or, where each class has a box of its own, ``(N, A, classes, 4)``.
        scores: The probability of every class in each, ``(N, A, classes)``.
    """

    boxes: Tensor
    scores: Tensor

    def found(self) -> Found:
        """Itself."""
        return self

    def evidence(self) -> Tensor:
        """See `Saying.evidence`: the scores."""
        return self.scores

    def of(self, number: int) -> Found:
        """See `Saying.of`."""
        return Found(self.boxes[number : number + 1], self.scores[number : number + 1])


class Saying(Protocol):
    """What a decoder says: a named tuple of tensors, of which the first has a row an image."""

    def found(self) -> Found:
        """The boxes in it."""
        ...

    def evidence(self) -> Tensor:
        """What speaks for every class in each box, before it is made a probability, ``(N, A, classes)``."""
        ...

    def of(self, number: int) -> Self:
        """What is said of one image alone."""
        ...


class MultiBox(NamedTuple):
    """Of each of many anchors, its class or background, and how far the object's box is from it.

    W. Liu et al., "SSD: Single Shot MultiBox Detector", 2016.

    Attributes:
        logits: ``(N, A, 1 + classes)``, background first.
        offsets: ``(N, A, 4)``; see `svertka.layers.boxes.encode`.
        anchors: ``(A, 4)``.
    """

    logits: Tensor
    offsets: Tensor
    anchors: Tensor

    def found(self) -> Found:
        """See `Saying.found`."""
        scores = F.softmax(self.logits.float(), dim=-1)[..., 1:]
        return Found(decode(self.offsets.float(), self.anchors, VARIANCES), scores)

    def evidence(self) -> Tensor:
        """See `Saying.evidence`."""
        return self.logits[..., 1:]

    def of(self, number: int) -> MultiBox:
        """See `Saying.of`."""
        one = slice(number, number + 1)
        return self._replace(logits=self.logits[one], offsets=self.offsets[one])


class Grid(NamedTuple):
    """Of each cell of a grid a few boxes, how sure it is of each, and what is there if an object's middle is.

    J. Redmon et al., "You Only Look Once: Unified, Real-Time Object Detection", 2016.

    Attributes:
        sides: ``(N, cells, boxes, 4)``: the middle's x and y within the cell, as shares of it, and the square roots of
            width and height, these as shares of the image.
        confidences: What the IoU of each box with an object is to be, ``(N, cells, boxes)``.
        probabilities: Of the classes, given that there is an object, ``(N, cells, classes)``.
        corners: Left and top of the cells, row by row, ``(cells, 2)``.
        cell: Width and height of a cell, ``(2,)``.
    """

    sides: Tensor
    confidences: Tensor
    probabilities: Tensor
    corners: Tensor
    cell: Tensor

    def found(self) -> Found:
        """See `Saying.found`: the score of a class is its probability times how sure the cell is of the box."""
        return Found(self.boxes().flatten(1, 2), self.evidence().clamp(0, 1))

    def evidence(self) -> Tensor:
        """See `Saying.evidence`: the score, which nothing has squashed."""
        return (self.confidences.float()[..., None] * self.probabilities.float()[:, :, None]).flatten(1, 2)

    def of(self, number: int) -> Grid:
        """See `Saying.of`."""
        one = slice(number, number + 1)
        return self._replace(
            sides=self.sides[one], confidences=self.confidences[one], probabilities=self.probabilities[one]
        )

    def boxes(self) -> Tensor:
        """``(N, cells, boxes, 4)``."""
        sides = self.sides.float()
        middles = self.corners[:, None] + sides[..., :2] * self.cell
        return cornered(torch.cat([middles, sides[..., 2:].square()], dim=-1))


class Cells(NamedTuple):
    """Of each prior of each cell of a grid: is an object's middle in the cell, how large is it, and what is it?

    J. Redmon, A. Farhadi, "YOLO9000: Better, Faster, Stronger", 2017.

    Attributes:
        objectness: Logits ``(N, A)``.
        logits: Of the classes, ``(N, A, classes)``.
        offsets: ``(N, A, 4)``: tₓ and t_y, whose sigmoids say where in the cell the middle is, and the logarithms of
            how much wider and higher than the prior the box is.
        corners: Left and top of the cells, ``(A, 2)``.
        cell: Width and height of a cell, ``(2,)``.
        priors: Width and height of the priors, ``(A, 2)``.
    """

    objectness: Tensor
    logits: Tensor
    offsets: Tensor
    corners: Tensor
    cell: Tensor
    priors: Tensor

    def found(self) -> Found:
        """See `Saying.found`: the probability of a class is that of an object times that of the class, given one."""
        scores = self.objectness.float().sigmoid()[..., None] * F.softmax(self.logits.float(), dim=-1)
        return Found(self.boxes(), scores)

    def evidence(self) -> Tensor:
        """See `Saying.evidence`: the logit of an object and that of the class."""
        return self.objectness[..., None] + self.logits

    def of(self, number: int) -> Cells:
        """See `Saying.of`."""
        one = slice(number, number + 1)
        return self._replace(objectness=self.objectness[one], logits=self.logits[one], offsets=self.offsets[one])

    def boxes(self) -> Tensor:
        """``(N, A, 4)``."""
        offsets = self.offsets.float()
        middles = self.corners + offsets[..., :2].sigmoid() * self.cell
        return cornered(torch.cat([middles, self.priors * growth(offsets[..., 2:])], dim=-1))


class Looked(NamedTuple):
    """Of regions that were proposed, what is in each, and where.

    R. Girshick, "Fast R-CNN", 2015.

    Attributes:
        logits: Of every region's class, background first, ``(N, R, 1 + classes)``.
        offsets: From the region to the box of each class, ``(N, R, 1 + classes, 4)``.
        regions: What was looked into, ``(N, R, 4)``; without area where there was nothing more to look into.
    """

    logits: Tensor
    offsets: Tensor
    regions: Tensor

    def found(self) -> Found:
        """See `Saying.found`; boxes are those of each class, ``(N, R, classes, 4)``."""
        boxes = decode(self.offsets[:, :, 1:].float(), self.regions[:, :, None], VARIANCES)
        return Found(boxes, F.softmax(self.logits.float(), dim=-1)[..., 1:])

    def evidence(self) -> Tensor:
        """See `Saying.evidence`."""
        return self.logits[..., 1:]

    def of(self, number: int) -> Looked:
        """See `Saying.of`."""
        one = slice(number, number + 1)
        return Looked(self.logits[one], self.offsets[one], self.regions[one])


class Regions(NamedTuple):
    """Of anchors whether there is an object, and how far its box is; of boxes proposed so, what is in them, and where.

    S. Ren et al., "Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks", 2015.

    Attributes:
        logits: Of every region's class, background first, ``(N, R, 1 + classes)``.
        offsets: From the region to the box of each class, ``(N, R, 1 + classes, 4)``.
        regions: What was looked into, ``(N, R, 4)``; without area where there was nothing more to look into.
        objectness: Logits of the anchors, ``(N, A)``.
        ways: Offsets from the anchors, ``(N, A, 4)``.
        anchors: ``(A, 4)``.
    """

    logits: Tensor
    offsets: Tensor
    regions: Tensor
    objectness: Tensor
    ways: Tensor
    anchors: Tensor

    def found(self) -> Found:
        """See `Looked.found`."""
        return Looked(self.logits, self.offsets, self.regions).found()

    def evidence(self) -> Tensor:
        """See `Saying.evidence`."""
        return self.logits[..., 1:]

    def of(self, number: int) -> Regions:
        """See `Saying.of`."""
        one = slice(number, number + 1)
        return self._replace(
            logits=self.logits[one],
            offsets=self.offsets[one],
            regions=self.regions[one],
            objectness=self.objectness[one],
            ways=self.ways[one],
        )


Choose = Callable[[Tensor], Tensor]
"""From the boxes that a first stage proposes, ``(N, P, 4)``, to those that the second learns from, ``(N, R, 4)``."""


class Detector(Tapped):
    """A trunk and a decoder that turns its stages' outputs into boxes and what is in them.

    Attributes:
        sides: Sides of images, in pixels, that it is to learn from in turn; none if it learns from those it is given.
        regions: How many regions of every image it is given to look into; 0 if it needs none.
        fitted: Whether what follows its trunk is fitted to what the trunk gives, not trained by gradient descent.
    """

    sides: tuple[int, ...] = ()
    regions: int = 0
    fitted: bool = False

    @property
    def chooses(self) -> bool:
        """Whether it takes a choice of what its second stage is to look into."""
        return self.decoder.chooses

    def forward(self, x: Tensor, *given: Any) -> Any:
        """What is said of images ``(N, in_channels, H, W)``, in training and in evaluation alike.

        Args:
            x: The images.
            given: The `regions` of each, ``(N, R, 4)``, for a network that needs some; or for one that has two stages,
                in training, what is to be looked into.
        """
        return self.decode(self.trunk.pyramid(x), (x.shape[2], x.shape[3]), *given)

    def decode(self, pyramid: Mapping[str, Tensor], size: tuple[int, int], *given: Any) -> Any:
        """See `Tapped.decode`."""
        return self.decoder([pyramid[name] for name in self.taps], size, *given)

    @property
    def output_names(self) -> tuple[str, ...]:
        """What `outputs` gives."""
        return Found._fields

    def outputs(self, x: Tensor, *regions: Tensor) -> dict[str, Tensor]:
        """Boxes and scores for images ``(N, in_channels, H, W)``, by name, as an exported graph gives them."""
        said: Saying = self(x, *regions)
        return said.found()._asdict()
