"""GoogLeNet, the first Inception network.

C. Szegedy, W. Liu, Y. Jia, P. Sermanet, S. Reed, D. Anguelov, D. Erhan, V. Vanhoucke, A. Rabinovich, "Going Deeper
with Convolutions", 2014.

New then: the Inception module, which looks at its input at several scales at once, with 1 × 1 convolutions that make
the wide ones cheap; a mean over all positions in place of large fully connected layers; auxiliary classifiers halfway,
which bring gradients to the lower layers. 22 layers with weights, 7 million parameters: nine times fewer than AlexNet.

Two forms. ``as_published`` is the network of the paper, with the two local response normalisations of its figure 3;
what the paper leaves open is as in its Caffe model. The other, which today's weights are for, has batch normalisation
instead of biases and of local response normalisation, and departs from the paper as torchvision does: 3 × 3 kernels
in the "5 × 5" branches, pooling of 2 × 2 before module 5a, and less dropout.

Departure of both: the auxiliary classifiers pool to 4 × 4 whatever the size of the image. At 224 × 224 this is a mean
over 4 × 4 positions where the paper has 5 × 5.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from torch import Tensor, nn

from svertka.layers.branches import Branches
from svertka.layers.convolution import ConvNorm
from svertka.layers.head import LinearHead
from svertka.layers.initialisation import he_normal
from svertka.layers.trunk import Classifier, Trunk


class _Widths(NamedTuple):
    # A line of the paper's table 1.
    one: int
    reduce_three: int
    three: int
    reduce_five: int
    five: int
    pool: int

    @property
    def total(self) -> int:
        return self.one + self.three + self.five + self.pool


_TABLE = {
    "inception3": {
        "a": _Widths(64, 96, 128, 16, 32, 32),
        "b": _Widths(128, 128, 192, 32, 96, 64),
    },
    "inception4": {
        "a": _Widths(192, 96, 208, 16, 48, 64),
        "b": _Widths(160, 112, 224, 24, 64, 64),
        "c": _Widths(128, 128, 256, 24, 64, 64),
        "d": _Widths(112, 144, 288, 32, 64, 64),
        "e": _Widths(256, 160, 320, 32, 128, 128),
    },
    "inception5": {
        "a": _Widths(256, 160, 320, 32, 128, 128),
        "b": _Widths(384, 192, 384, 48, 128, 128),
    },
}


class GoogLeNet(Classifier):
    """GoogLeNet for images of 224 × 224, or of any size from 15 × 15 on (31 × 31 as published).

    Args:
        classes: Number of classes.
        in_channels: Number of channels of the images.
        dropout: Share of the last features that are dropped in training.
        auxiliary: With the two classifiers on modules 4a and 4d, for training.
        as_published: The network of 2014, without batch normalisation.
    """

    def __init__(
        self,
        *,
        classes: int = 1000,
        in_channels: int = 3,
        dropout: float = 0.4,
        auxiliary: bool = False,
        as_published: bool = False,
    ) -> None:
        convolution: Callable[..., nn.Module] = _Biased if as_published else partial(ConvNorm, epsilon=1e-3)

        def response(name: str) -> dict[str, nn.Module]:
            return {name: nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75)} if as_published else {}

        stages: dict[str, nn.Module] = {
            "conv1": convolution(in_channels, 64, 7, stride=2),
            "conv2": nn.Sequential(
                OrderedDict(
                    pool=_halving(3),
                    **response("norm1"),
                    reduce=convolution(64, 64, 1),
                    conv=convolution(64, 192, 3),
                    **response("norm2"),
                )
            ),
        }
        width = 192
        for name, table in _TABLE.items():
            kernel = 2 if name == "inception5" and not as_published else 3
            modules: OrderedDict[str, nn.Module] = OrderedDict(pool=_halving(kernel))
            for letter, widths in table.items():
                modules[letter] = _inception(width, widths, convolution, five=5 if as_published else 3)
                width = widths.total
            stages[name] = nn.Sequential(modules)
        super().__init__(
            Trunk(stages, in_channels=in_channels), LinearHead(width, classes, dropout=dropout), classes=classes
        )
        listeners = ("a", "d") if auxiliary else ()
        self.auxiliary = nn.ModuleDict(
            {letter: _auxiliary(_TABLE["inception4"][letter].total, classes, convolution) for letter in listeners}
        )
        he_normal(self, "fan_in")  # the paper does not say how

    def forward_with_auxiliary(self, x: Tensor) -> tuple[Tensor, ...]:
        """Logits ``(N, classes)`` of the classifier, then of the auxiliary ones, if any, after modules 4a and 4d.

        The paper adds the losses of the auxiliary ones at a weight of 0.3 each.
        """
        beside = []
        for name, stage in self.trunk.named_children():
            if name != "inception4":
                x = stage(x)
                continue
            for letter, module in stage.named_children():
                x = module(x)
                if letter in self.auxiliary:
                    beside.append(self.auxiliary[letter](x))
        return self.head(x), *beside


def _inception(inputs: int, widths: _Widths, convolution: Callable[..., nn.Module], *, five: int) -> Branches:
    # Figure 2 (b).
    return Branches(
        {
            "1x1": convolution(inputs, widths.one, 1),
            "3x3": nn.Sequential(
                convolution(inputs, widths.reduce_three, 1), convolution(widths.reduce_three, widths.three, 3)
            ),
            "5x5": nn.Sequential(
                convolution(inputs, widths.reduce_five, 1), convolution(widths.reduce_five, widths.five, five)
            ),
            "pool": nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), convolution(inputs, widths.pool, 1)),
        }
    )


def _auxiliary(inputs: int, classes: int, convolution: Callable[..., nn.Module]) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            pool=nn.AdaptiveAvgPool2d(4),
            conv=convolution(inputs, 128, 1),
            flatten=nn.Flatten(),
            fc=nn.Linear(128 * 4 * 4, 1024),
            activation=nn.ReLU(),
            dropout=nn.Dropout(0.7),
            linear=nn.Linear(1024, classes),
        )
    )


def _halving(kernel: int) -> nn.Module:
    return nn.MaxPool2d(kernel, stride=2, ceil_mode=True)  # 112 → 56 → 28 → 14 → 7


class _Biased(nn.Sequential):
    # ConvNorm of the time before batch normalisation.
    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> None:
        conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
        super().__init__(OrderedDict(conv=conv, activation=nn.ReLU()))
