"""Convolution, normalisation and nonlinearity as one block."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import Literal

from torch import nn

from svertka.layers.padding import SamePadding


class ConvNorm(nn.Sequential):
    """Convolution without bias, batch normalisation, and a nonlinearity: ``conv``, ``norm``, ``activation``.

    A layer ``pad`` comes before them where only TensorFlow's padding needs one.

    S. Ioffe, C. Szegedy, "Batch Normalization", 2015.

    Args:
        inputs: Number of channels that come in.
        outputs: Number of channels that go out.
        kernel: Side of the kernel, or its height and width.
        stride: In pixels.
        padding: In pixels; half the kernel where not given, so that stride 1 keeps the size; ``"same"`` pads as
            TensorFlow does, which differs where there is a stride.
        groups: Groups of the convolution.
        epsilon: Of the normalisation.
        activation: What makes the nonlinearity; None for none.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int],
        *,
        stride: int = 1,
        padding: int | tuple[int, int] | Literal["same"] | None = None,
        groups: int = 1,
        epsilon: float = 1e-5,
        activation: type[nn.Module] | partial[nn.Module] | None = nn.ReLU,
    ) -> None:
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        around: int | tuple[int, int] = (height // 2, width // 2)
        if padding == "same" and stride > 1 and max(height, width) > 1:
            layers["pad"] = SamePadding(max(height, width), stride)
            around = 0
        elif padding is not None and padding != "same":
            around = padding
        layers["conv"] = nn.Conv2d(inputs, outputs, (height, width), stride, around, groups=groups, bias=False)
        layers["norm"] = nn.BatchNorm2d(outputs, eps=epsilon)
        if activation is not None:
            layers["activation"] = activation()
        super().__init__(layers)
