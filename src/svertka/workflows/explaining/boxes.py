"""Explaining networks that find objects: what speaks for the likeliest box."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from svertka.errors import UserError
from svertka.explaining.gradcam import grad_cam_by_position
from svertka.explaining.running import Target
from svertka.explaining.targets import Boxes, BoxLogit
from svertka.layers.detector import Detector
from svertka.results.boxes import boxed
from svertka.runtime.card import Card
from svertka.workflows.explaining.subject import Score, Subject

_COUNTS = "it counts how often a class is right, which says nothing of boxes"


class BoxSubject(Subject):
    """A network that says where objects are, and what; those that look into regions which it did not find are none."""

    net: Detector
    drawn_as = "what it finds"
    note = "What is explained is the likeliest box, which is framed."
    unsuited = {  # noqa: RUF012 (the base class says that it is not changed)
        "adversarial": _COUNTS,
        "pruning": _COUNTS,
        "grad_cam_plus_plus": "it weighs whole maps, which says nothing of one box; see grad_cam",
    }
    class_images = False  # where in it an object is to be, nothing says

    def __init__(self, net: Detector, card: Card) -> None:
        if net.regions or net.fitted:
            raise UserError(
                f"{card.net} looks into regions that it did not find itself, and cannot be explained",
                mend="explain ssd, yolo_v1, yolo_v2 or faster_rcnn",
            )
        super().__init__(net, card)

    @property
    def taps(self) -> Sequence[str]:
        """See `Subject.taps`."""
        return self.net.taps

    def target(self, said: Boxes, named: int | None) -> BoxLogit:
        """What speaks for the likeliest box of each image, or for the one that likeliest holds the class ``named``."""
        found = said.found()
        scores = found.scores if named is None else found.scores[..., named : named + 1]
        best = scores.flatten(1).argmax(dim=1)
        places = best // scores.shape[2]
        classes = best % scores.shape[2] if named is None else torch.full_like(best, named)
        each = torch.arange(len(best))
        boxes = found.boxes[each, places] if found.boxes.ndim == 3 else found.boxes[each, places, classes]
        return BoxLogit(classes, boxes)

    def class_activation(self, net: nn.Module, layer: nn.Module, target: Target, images: Tensor) -> Tensor:
        """Grad-CAM by position: what speaks for a box is in one place of the maps."""
        return grad_cam_by_position(net, layer, target, images)

    def framed(self, picture: NDArray[np.uint8], target: Score, number: int) -> NDArray[np.uint8]:
        """The picture with the box on it."""
        assert isinstance(target, BoxLogit)
        height, width = picture.shape[:2]
        label = int(target.classes[number])
        left, top, right, bottom = target.box(number)
        sides = left * width, top * height, right * width, bottom * height
        return boxed(picture, [sides], [self.card.classes[label]], [label])

    def told(self, target: Score, number: int) -> dict[str, Any]:
        """The ``box``: left, top, right and bottom, in shares of what the network sees."""
        assert isinstance(target, BoxLogit)
        return {"box": [round(side, 4) for side in target.box(number)]}
