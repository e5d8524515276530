"""The network that is explained: what it says, which of its scores is explained, and at which of its stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from svertka.errors import UserError, nearest
from svertka.explaining.gradcam import grad_cam, grad_cam_by_position
from svertka.explaining.running import Target, at_rest
from svertka.explaining.targets import Boxes, BoxLogit, ClassLogit
from svertka.layers.dense import Segmenter, Tapped
from svertka.layers.detector import Detector
from svertka.layers.net import Net
from svertka.layers.transfer import TransferHead
from svertka.layers.trunk import Classifier
from svertka.results import Result
from svertka.results.boxes import boxed
from svertka.runtime.card import Card
from svertka.runtime.decoders import DEFAULT_THRESHOLD, decode
from svertka.tasks.making import task_of

_WIDE = 4  # positions along each axis that a map has at least to show where something is


class Subject:
    """A network with what its card says of it.

    Args:
        net: The network.
        card: Of its model file.

    Raises:
        UserError: It looks into regions that are proposed by something else.
    """

    def __init__(self, net: Net, card: Card) -> None:
        if isinstance(net, Detector) and (net.regions or net.fitted):
            raise UserError(
                f"{card.net} looks into regions that it did not find itself, and cannot be explained",
                mend="explain ssd, yolo_v1, yolo_v2 or faster_rcnn",
            )
        self.net: Classifier | Segmenter | Detector = net
        self.card = card
        self.size = (card.preprocess.height, card.preprocess.width)
        self.margin = net.margin if isinstance(net, Segmenter) else 0
        self.exclusive = not isinstance(net, Classifier) or task_of(card).exclusive
        self.stages: dict[str, nn.Module] = dict(net.trunk.named_children())

    @property
    def finds_boxes(self) -> bool:
        """Whether it says where objects are, and what."""
        return isinstance(self.net, Detector)

    def logits(self, images: Tensor) -> Any:
        """Of images ``(N, C, H, W)``: a tensor, or what is said of boxes."""
        with at_rest(self.net) as forward, torch.no_grad():
            return forward(images)

    def results(self, images: Tensor) -> list[Result]:
        """What is predicted of each image."""
        with torch.inference_mode():
            outputs = self.net.eval().outputs(images)
        sizes = [(images.shape[2], images.shape[3])] * len(images)
        return decode({name: value.float().numpy() for name, value in outputs.items()}, self.card, sizes)

    def decisions(self, logits: Tensor) -> Tensor:
        """The class of each image or pixel; of several labels, 1 for each that is said to be there."""
        if self.exclusive:
            return logits.argmax(dim=1)
        limits = self.card.thresholds or (DEFAULT_THRESHOLD,) * logits.shape[1]
        return (logits.sigmoid() >= logits.new_tensor(limits)).float()

    def agreement(self, logits: Tensor, truth: Tensor) -> float:
        """The share of images, of pixels, or of labels, for which `decisions` are the truth."""
        return float((self.decisions(logits) == truth).double().mean())

    def target(self, logits: Any, named: int | None) -> ClassLogit | BoxLogit:
        """The score that is explained: the logit of the likeliest class of each image, or of the class ``named``.

        Of masks, it is the sum over those pixels that are said to be of the class, which is the most frequent one that
        is no background; over all where there are none. Of boxes, it is that of the likeliest one.
        """
        if self.finds_boxes:
            return _likeliest_box(logits, named)
        if logits.ndim == 2:
            classes = logits.argmax(dim=1) if named is None else torch.full((len(logits),), named)
            return ClassLogit(classes)
        said = logits.argmax(dim=1)
        counts = torch.stack([(said == number).flatten(1).sum(dim=1) for number in range(logits.shape[1])], dim=1)
        if self.card.classes[0].lower() == "background" and logits.shape[1] > 1:
            counts[:, 0] = -1
        classes = counts.argmax(dim=1) if named is None else torch.full((len(logits),), named)
        pixels = said == classes[:, None, None]
        pixels |= ~pixels.flatten(1).any(dim=1)[:, None, None]
        return ClassLogit(classes, pixels.to(logits.dtype))

    def class_activation(self, net: nn.Module, layer: nn.Module, target: Target, images: Tensor) -> Tensor:
        """Grad-CAM, ``(N, h, w)``; of a box, by position: what speaks for it is in one place of the maps."""
        return (grad_cam_by_position if self.finds_boxes else grad_cam)(net, layer, target, images)

    def framed(self, picture: NDArray[np.uint8], target: ClassLogit | BoxLogit, number: int) -> NDArray[np.uint8]:
        """A picture of the image ``number``, and on it the box that is explained, if one is."""
        if not isinstance(target, BoxLogit):
            return picture
        height, width = picture.shape[:2]
        label = int(target.classes[number])
        left, top, right, bottom = target.box(number)
        sides = left * width, top * height, right * width, bottom * height
        return boxed(picture, [sides], [self.card.classes[label]], [label])

    def default_layer(self) -> str:
        """The last stage that the prediction goes by and that still says where things are."""
        net = self.net
        names = net.trunk.names
        taps = net.taps if isinstance(net, Tapped) else net.head.taps if isinstance(net.head, TransferHead) else names
        names = names[: max(net.trunk.depth(tap) for tap in taps)]
        shapes = net.trunk.shapes(*self.size)
        extents = {name: min(shapes[name][1:], default=0) for name in names}
        for least in (_WIDE, 2):
            if wide := [name for name in names if extents[name] >= least]:
                return wide[-1]
        return names[-1]

    def chosen_stages(self, layers: Sequence[str]) -> tuple[str, ...]:
        """The stages of these names; all if none is named.

        Raises:
            UserError: There is no such stage.
        """
        for layer in layers:
            self.net.trunk.depth(layer)
        return tuple(layers) or self.net.trunk.names

    def class_number(self, name: str) -> int:
        """The number of a class.

        Raises:
            UserError: There is no such class.
        """
        if name not in self.card.classes:
            raise UserError(f"the model knows no class {name!r}", mend=nearest(name, self.card.classes))
        return self.card.classes.index(name)


def _likeliest_box(said: Boxes, named: int | None) -> BoxLogit:
    found = said.found()
    scores = found.scores if named is None else found.scores[..., named : named + 1]
    best = scores.flatten(1).argmax(dim=1)
    places = best // scores.shape[2]
    classes = best % scores.shape[2] if named is None else torch.full_like(best, named)
    each = torch.arange(len(best))
    boxes = found.boxes[each, places] if found.boxes.ndim == 3 else found.boxes[each, places, classes]
    return BoxLogit(classes, boxes)
