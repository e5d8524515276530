"""What foreign networks have around their normalisations and ours do not, put into the numbers of ours. Exactly."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

KERAS_EPSILON = 1e-3
"""What Keras adds to variances unless told otherwise; our `ConvNorm` adds ``EPSILON``."""

EPSILON = 1e-5


def fold(state: Mapping[str, Tensor], *, epsilon: float) -> dict[str, Tensor]:
    """Take biases and another epsilon out of every block ``….conv`` and ``….norm``, under our names.

    A bias before a normalisation moves the mean that it takes off. A bias without any normalisation becomes the shift
    of one that does nothing else. What their normalisations add to the variance, beyond ours, is added once for all.

    Args:
        state: Tensor by our name, with ``….conv.bias`` beside it.
        epsilon: What the normalisations of these weights add to the variance.

    Returns:
        The state without those biases.
    """
    folded = dict(state)
    for name, variance in state.items():
        if name.endswith(".running_var"):
            folded[name] = variance + (epsilon - EPSILON)
    for name in [name for name in state if name.endswith(".conv.bias")]:
        bias, norm = folded.pop(name), name.removesuffix("conv.bias") + "norm"
        if f"{norm}.running_mean" in folded:
            folded[f"{norm}.running_mean"] = folded[f"{norm}.running_mean"] - bias
            continue
        folded[f"{norm}.weight"], folded[f"{norm}.bias"] = torch.ones_like(bias), bias
        folded[f"{norm}.running_mean"] = torch.zeros_like(bias)
        folded[f"{norm}.running_var"] = torch.full_like(bias, 1 - EPSILON)
    return folded
