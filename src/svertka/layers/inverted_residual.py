"""The block of MobileNetV2 and of EfficientNet, and the widths of such networks."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from svertka.layers.convolution import ConvNorm
from svertka.layers.padding import SamePadding


def scaled(channels: int, width: float) -> int:
    """``channels`` times the width multiplier, as a multiple of 8 that is at most a tenth too small."""
    wanted = channels * width
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * wanted else rounded + 8


class InvertedResidual(nn.Module):
    """``expand`` (1 × 1), ``depthwise``, ``project`` (1 × 1, no nonlinearity); added to its input where shapes allow.

    M. Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018: unlike in ResNet the wide
    layer is in the middle, and the narrow ends stay linear since a ReLU would lose information there.

    Args:
        inputs: Number of channels that come in.
        outputs: Number of channels that go out.
        expansion: How much wider the middle is; at 1 there is no expanding convolution.
        kernel: Side of the depthwise kernel.
        stride: Of the depthwise convolution.
        epsilon: Of the normalisations.
        same_padding: Pad as TensorFlow does, instead of by half the kernel all around.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        expansion: int,
        kernel: int = 3,
        stride: int = 1,
        epsilon: float = 1e-5,
        same_padding: bool = False,
    ) -> None:
        super().__init__()
        wide = inputs * expansion
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if expansion != 1:
            layers["expand"] = ConvNorm(inputs, wide, 1, epsilon=epsilon, activation=nn.ReLU6)
        if same_padding and stride > 1:  # at stride 1 it is half the kernel all around
            layers["pad"] = SamePadding(kernel, stride)
        layers["depthwise"] = ConvNorm(
            wide,
            wide,
            kernel,
            stride=stride,
            padding=0 if "pad" in layers else None,
            groups=wide,
            epsilon=epsilon,
            activation=nn.ReLU6,
        )
        layers["project"] = ConvNorm(wide, outputs, 1, epsilon=epsilon, activation=None)
        self.residual = nn.Sequential(layers)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.residual(x)
        return x + residual if self.shortcut else residual
