"""PyTorch as an engine, beside those of `svertka.runtime.engines`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from svertka.layers.net import Net
from svertka.runtime.decoding import Outputs


class TorchEngine:
    """Runs a network in evaluation mode on the processor."""

    name = "pytorch"

    def __init__(self, net: Net) -> None:
        self._net = net.eval()

    def forward(self, images: Tensor, *beside: Tensor) -> Any:
        """What the network itself says of images ``(N, C, H, W)``: logits, or a named tuple of tensors."""
        with torch.inference_mode():
            return self._net(images, *beside)

    def run(self, batch: NDArray[np.float32], *beside: NDArray[np.float32]) -> Outputs:
        """See `svertka.runtime.engines.Engine.run`."""
        with torch.inference_mode():
            outputs = self._net.outputs(torch.from_numpy(batch), *map(torch.from_numpy, beside))
        return {name: value.float().numpy() for name, value in outputs.items()}
