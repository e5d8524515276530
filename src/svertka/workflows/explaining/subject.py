"""The network that is explained: what it says, which of its scores is explained, and at which of its stages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from svertka.errors import UserError, nearest
from svertka.explaining.gradcam import grad_cam
from svertka.explaining.running import Target, at_rest
from svertka.layers.net import Net
from svertka.results import Result
from svertka.runtime.card import Card, image_input
from svertka.runtime.decoding import DEFAULT_THRESHOLD, decode

_WIDE = 4  # positions along each axis that a map has at least to show where something is


class Score(Protocol):
    """The score of each image that is explained: a `svertka.explaining.running.Target` of the network's output."""

    @property
    def classes(self) -> Tensor:
        """The class of which it is the score, of each image, ``(N,)`` int64."""
        ...

    def __call__(self, output: Any) -> Tensor:
        """From what the network says to ``(N,)``."""
        ...


class Subject(ABC):
    """A network with what its card says of it.

    Attributes:
        drawn_as: What the picture of a prediction that says where things are shows.
        note: What there is to know of the score that is explained.
        unsuited: Methods that have nothing to say of such networks, and why.
        class_images: Whether an image can be made up that a class is seen in, wherever it is.
        margin: How many pixels at each border of an image nothing is predicted of.
        exclusive: Whether an image, or a pixel, has exactly one class.

    Args:
        net: The network.
        card: Of its model file.

    Raises:
        UserError: Such a network cannot be explained.
    """

    drawn_as: str = ""
    note: str = ""
    unsuited: Mapping[str, str] = {}
    class_images: bool = True
    margin: int = 0
    exclusive: bool = True

    def __init__(self, net: Net, card: Card) -> None:
        self.net: Net = net
        self.card = card
        self.preprocess = image_input(card)
        self.size = (self.preprocess.height, self.preprocess.width)
        self.stages: dict[str, nn.Module] = dict(net.trunk.named_children())

    @abstractmethod
    def target(self, said: Any, named: int | None) -> Score:
        """The score that is explained of images of which the network has ``said`` this; ``named`` is a class."""

    @property
    @abstractmethod
    def taps(self) -> Sequence[str]:
        """The stages that the prediction goes by."""

    def class_activation(self, net: nn.Module, layer: nn.Module, target: Target, images: Tensor) -> Tensor:
        """Class activation maps by gradients, ``(N, h, w)``."""
        return grad_cam(net, layer, target, images)

    def framed(self, picture: NDArray[np.uint8], target: Score, number: int) -> NDArray[np.uint8]:
        """A picture of the image ``number`` on which it can be seen what is explained."""
        del target, number
        return picture

    def told(self, target: Score, number: int) -> dict[str, Any]:
        """What is explained of the image ``number``, beside its class, as JSON."""
        del target, number
        return {}

    def logits(self, images: Tensor) -> Any:
        """What the network says of images ``(N, C, H, W)``."""
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

    def default_layer(self) -> str:
        """The last stage that the prediction goes by and that still says where things are."""
        trunk = self.net.trunk
        names = trunk.names[: max(trunk.depth(tap) for tap in self.taps)]
        shapes = trunk.shapes(*self.size)
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
