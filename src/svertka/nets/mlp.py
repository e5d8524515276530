"""The perceptron and the multi-layer perceptron.

F. Rosenblatt, "The Perceptron", Psychological Review 65(6), 1958; D. Rumelhart, G. Hinton, R. Williams, "Learning
Representations by Back-Propagating Errors", Nature 323, 1986; maxout: I. Goodfellow et al., "Maxout Networks", 2013.

Every pixel is an input of its own, so the network knows nothing of neighbourhoods and takes images of one size
only. With ``hidden=()`` it is one layer: the perceptron, here with a softmax in place of the threshold.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from svertka.layers.activation import Maxout
from svertka.layers.activation import activation as nonlinearity
from svertka.layers.trunk import Classifier, Trunk


class MLP(Classifier):
    """Fully connected layers over all pixels of an image of ``image_size`` × ``image_size``.

    Stages: ``input`` (the image as one vector), ``hidden1``, ``hidden2`` and so on, each ``(N, width)``.

    Args:
        classes: Number of classes.
        in_channels: Number of channels of the images.
        image_size: Side of the images in pixels; no other size is accepted.
        hidden: Width of each hidden layer.
        activation: ``sigmoid``, ``tanh``, ``relu``, ``leaky_relu``, ``prelu``, ``elu`` or ``maxout``.
        pieces: Linear pieces of each maxout unit.
        dropout: Share of each hidden layer's outputs that are dropped in training.
    """

    def __init__(
        self,
        *,
        classes: int = 10,
        in_channels: int = 1,
        image_size: int = 32,
        hidden: Sequence[int] = (256, 128),
        activation: str = "relu",
        pieces: int = 2,
        dropout: float = 0.0,
    ) -> None:
        width = in_channels * image_size * image_size
        stages: dict[str, nn.Module] = {"input": nn.Flatten()}
        for number, units in enumerate(hidden, 1):
            if activation == "maxout":
                layers: list[nn.Module] = [nn.Linear(width, units * pieces), Maxout(pieces)]
            else:
                layers = [nn.Linear(width, units), nonlinearity(activation)]
            stages[f"hidden{number}"] = nn.Sequential(*layers, nn.Dropout(dropout))
            width = units
        head = nn.Sequential(OrderedDict(output=nn.Linear(width, classes)))
        super().__init__(Trunk(stages, in_channels=in_channels), head, classes=classes)


def perceptron(*, classes: int = 10, in_channels: int = 1, image_size: int = 32) -> MLP:
    """One layer: every class weighs every pixel."""
    return MLP(classes=classes, in_channels=in_channels, image_size=image_size, hidden=())
