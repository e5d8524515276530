"""Padding that convolution and pooling layers do not know themselves."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

AS_GOOD_AS_ZERO = 1e-30
"""What to pad with before a maximum pooling that is to see zeros.

ONNX Runtime takes a padding by just zero into the pooling, which then sees nothing there instead.
"""


class SamePadding(nn.Module):
    """TensorFlow's ``SAME``: zeros around the images so that the next layer gives ``ceil(size / stride)`` pixels.

    What cannot be halved goes to the right and to the bottom; PyTorch's own padding puts it to the left and the
    top, or on both sides. It depends on the size of the images, so it is a layer, to stand before an unpadded one.

    Args:
        kernel: Side of the next layer's kernel.
        stride: Of the next layer.
        value: What the border is made of; TensorFlow takes minus infinity before a maximum pooling.
    """

    def __init__(self, kernel: int, stride: int, value: float = 0.0) -> None:
        super().__init__()
        self.kernel = kernel
        self.stride = stride
        self.value = value

    def extra_repr(self) -> str:
        return f"kernel={self.kernel}, stride={self.stride}, value={self.value}"

    def forward(self, x: Tensor) -> Tensor:
        top, left = self._missing(x.shape[-2]), self._missing(x.shape[-1])
        return F.pad(x, (left // 2, left - left // 2, top // 2, top - top // 2), value=self.value)

    def _missing(self, size: int) -> int:
        last = (size - 1) // self.stride * self.stride  # where the last window begins
        # Without a remainder the exporter can tell how large the maps become; with one it takes twice the time.
        beyond = last + self.kernel - size
        return beyond if self.kernel >= self.stride else max(beyond, 0)  # no question to a size that is left open
