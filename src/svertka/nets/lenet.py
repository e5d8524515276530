"""LeNet-5.

Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-Based Learning Applied to Document Recognition",
Proceedings of the IEEE 86(11), 1998.

New then: convolution, subsampling and a classifier learnt as one by gradient descent. Two pairs of convolution
and subsampling, a third convolution that covers what is left, and two fully connected layers.

Departures, as is usual today (61,706 parameters for 10 classes instead of 60,000):
- S2 and S4 are plain pooling without a coefficient and a bias to learn;
- every map of C3 sees all six maps of S2 (the paper's table I connects them in part, to save work);
- the output layer gives logits for a softmax instead of distances to drawn-up prototypes;
- ReLU and maximum pooling by default. ``activation="tanh", pool="average"`` is the paper's choice.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from torch import nn

from svertka.errors import UserError, nearest
from svertka.layers.activation import activation as nonlinearity
from svertka.layers.trunk import Classifier, Trunk

_POOLS: dict[str, Callable[[], nn.Module]] = {
    "max": lambda: nn.MaxPool2d(2),
    "average": lambda: nn.AvgPool2d(2),
}


class LeNet5(Classifier):
    """LeNet-5 for images of 32 × 32; larger ones are averaged over before F6.

    Args:
        classes: Number of classes.
        in_channels: Number of channels of the images.
        activation: Name of the nonlinearity after S2, S4, C5 and F6.
        pool: How S2 and S4 subsample: ``"max"`` or ``"average"``.
        dropout: Share of F6's outputs that are dropped in training.
    """

    def __init__(
        self,
        *,
        classes: int = 10,
        in_channels: int = 1,
        activation: str = "relu",
        pool: str = "max",
        dropout: float = 0.0,
    ) -> None:
        if pool not in _POOLS:
            raise UserError(f"unknown pooling {pool!r}", mend=nearest(pool, _POOLS))

        def convolution(inputs: int, outputs: int) -> nn.Module:
            return nn.Conv2d(inputs, outputs, kernel_size=5)

        def subsampling() -> list[nn.Module]:
            return [_POOLS[pool](), nonlinearity(activation)]

        trunk = Trunk(
            {
                "c1": nn.Sequential(convolution(in_channels, 6), *subsampling()),  # 32 → 28 → 14
                "c3": nn.Sequential(convolution(6, 16), *subsampling()),  # 14 → 10 → 5
                "c5": nn.Sequential(convolution(16, 120), nonlinearity(activation)),  # 5 → 1
            },
            in_channels=in_channels,
        )
        head = nn.Sequential(
            OrderedDict(
                pool=nn.AdaptiveAvgPool2d(1),  # the identity at 32 × 32
                flatten=nn.Flatten(),
                f6=nn.Linear(120, 84),
                activation=nonlinearity(activation),
                dropout=nn.Dropout(dropout),
                output=nn.Linear(84, classes),
            )
        )
        super().__init__(trunk, head, classes=classes)
