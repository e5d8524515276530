"""What turns the last features into logits."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn


class LinearHead(nn.Sequential):
    """The mean over all positions, dropout, and one linear layer: ``pool``, ``flatten``, ``dropout``, ``linear``.

    Takes ``(N, inputs, H, W)`` to ``(N, classes)``.

    M. Lin, Q. Chen, S. Yan, "Network in Network", 2013, had the mean over all positions first.

    Args:
        inputs: Number of channels that come in.
        classes: Number of classes.
        dropout: Share of the means that are dropped in training.
    """

    def __init__(self, inputs: int, classes: int, *, dropout: float = 0.0) -> None:
        super().__init__(
            OrderedDict(
                pool=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
                dropout=nn.Dropout(dropout),
                linear=nn.Linear(inputs, classes),
            )
        )
