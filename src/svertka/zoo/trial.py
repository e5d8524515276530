"""A network tried without a number: whether it takes the inputs that its card is for, and gives what the card says."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from svertka.layers.net import Net
from svertka.layers.tensors import tensors_in
from svertka.runtime.card import Card

MOST_BYTES = 256 << 20
"""Of what a stage of a network makes of one input."""


def trial_problems(net: Net, card: Card) -> list[str]:
    """What a network on the meta device does not do as its card says.

    A network that branches on values, or is given more than its inputs, cannot be tried so, and the card is believed.
    """
    largest = 0

    def weigh(_: nn.Module, __: Any, found: Any) -> None:
        nonlocal largest
        largest = max([largest, *(value.numel() * value.element_size() for value in tensors_in(found))])

    hooks = [module.register_forward_hook(weigh) for module in net.modules()]
    size = "×".join(map(str, card.input.shape))
    try:
        with torch.no_grad():
            outputs: dict[str, Tensor] = net.eval().outputs(torch.empty(2, *card.input.shape, device="meta"))
    except (NotImplementedError, TypeError):
        return []
    except (RuntimeError, ValueError, IndexError) as error:
        why = str(error).partition("\n")[0]
        return [f"{card.input.graph_input} of {size}, which it cannot take ({why[:200]})"]
    finally:
        for hook in hooks:
            hook.remove()
    if largest > 2 * MOST_BYTES:
        return [f"{card.input.graph_input} of {size}, one of which takes {largest / 2e9:.1f} GB in a single layer"]
    shapes = {name: list(output.shape[1:]) for name, output in outputs.items()}
    wanted = {name: card.output.instead(name, shape) for name, shape in shapes.items()}
    return [f"{said}, and it gives {name} of {shapes[name]}" for name, said in wanted.items() if said]


def has_one_axis(net: Net) -> bool:
    """Whether a network has weights that lie along one axis, as those of convolutions over series do."""
    return any(value.ndim == 3 for value in net.parameters())
