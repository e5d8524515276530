"""How an exported graph is run best, as was measured where it was exported; it travels on the card."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

EngineName = Literal["onnxruntime", "openvino"]
Precision = Literal["fp32", "bf16", "int8"]

AGREEMENT = 1e-4
"""Largest difference between the outputs of two engines that counts as agreement, in fp32."""

_LARGEST_PIECE = 64


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """How a graph is run best.

    Attributes:
        engine: The engine that was fastest; where it is not installed, ONNX Runtime runs the same graph.
        precision: What is calculated in. ``int8`` is in the graph; ``bf16`` is asked of the engine.
        piece: Images that one thread takes at a time of a larger batch; 0 lets all threads work on the whole batch.
        tolerance: How far the outputs of an engine may be from the golden ones.
        pixels: The graph takes decoded images ``(N, H, W, 3)`` uint8 RGB of any size, and prepares them itself.

    Raises:
        ValueError: One of them makes no sense.
    """

    engine: EngineName = "onnxruntime"
    precision: Precision = "fp32"
    piece: int = 0
    tolerance: float = AGREEMENT
    pixels: bool = False

    def __post_init__(self) -> None:
        if self.engine not in get_args(EngineName) or self.precision not in get_args(Precision):
            raise ValueError(f"unknown engine {self.engine!r} or precision {self.precision!r}")
        if type(self.piece) is not int or not 0 <= self.piece <= _LARGEST_PIECE:
            raise ValueError(f"pieces of {self.piece!r} images")
        if isinstance(self.tolerance, bool) or not isinstance(self.tolerance, int | float):
            raise ValueError(f"a tolerance of {self.tolerance!r}")
        if not 0 < self.tolerance < math.inf:
            raise ValueError(f"a tolerance of {self.tolerance!r}")
        if not isinstance(self.pixels, bool):
            raise ValueError(f"{self.pixels!r} is neither true nor false")

    def to_json(self) -> dict[str, Any]:
        """The values, for the card."""
        return asdict(self)
