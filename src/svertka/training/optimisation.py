"""Optimisers and learning rates by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Set
from typing import Any

import torch
from torch import nn

from svertka.training.penalties import decayed
from svertka.training.recipe import Recipe

_CYCLE_START, _CYCLE_END, _CYCLE_RISE = 1 / 25, 1e-4, 0.3


def make_optimizer(
    net: nn.Module,
    recipe: Recipe,
    device: torch.device,
    *,
    owned: Set[int] | None = None,
    make: Callable[..., torch.optim.Optimizer] | None = None,
) -> torch.optim.Optimizer:
    """The optimiser of a recipe, for training on ``device``; biases and norms have no weight decay.

    Every group has a ``scale``, which the learning rate is to be multiplied with. It is 1 but where trained weights
    go on learning: there it falls by ``lr_decay`` from each stage of ``net.trunk`` to the one before it.

    J. Howard, S. Ruder, "Universal Language Model Fine-tuning for Text Classification", 2018, section 3.2.

    Args:
        net: The network.
        recipe: Says the optimiser.
        device: Where training runs.
        owned: Parameters by ``id`` that it is to move; None for all that learn.
        make: Makes an optimiser of groups of parameters and a learning rate, in place of the recipe's.
    """
    weights = {id(weight) for weight in decayed(net.parameters())}
    scales = _scales(net, recipe)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        if parameter.requires_grad and (owned is None or id(parameter) in owned):
            scale = scales.get(name.split(".")[1], 1.0) if name.startswith("trunk.") else 1.0
            groups.setdefault((scale, id(parameter) in weights), []).append(parameter)
    ordered = sorted(groups.items(), key=lambda item: item[0], reverse=True)
    made = [
        {"params": parameters, "weight_decay": recipe.weight_decay if decay else 0.0, "scale": scale}
        for (scale, decay), parameters in ordered
    ]
    return make(made, lr=recipe.lr) if make else _optimizer(made, recipe, device)


def _scales(net: nn.Module, recipe: Recipe) -> dict[str, float]:
    trunk = getattr(net, "trunk", None)
    if recipe.weights is None or not isinstance(trunk, nn.Module):
        return {}
    stages = [name for name, _ in trunk.named_children()]
    return {name: recipe.lr_decay ** (len(stages) - number) for number, name in enumerate(stages)}


def _optimizer(groups: list[dict[str, Any]], recipe: Recipe, device: torch.device) -> torch.optim.Optimizer:
    # On the processor PyTorch fuses only if told to; elsewhere its own choice is good.
    fused = True if device.type == "cpu" else None
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, lr=recipe.lr, fused=fused)
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.lr, fused=fused)
    momentum = 0.0 if recipe.optimizer == "sgd" else recipe.momentum
    nesterov = recipe.optimizer == "nesterov" and momentum > 0
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=momentum, nesterov=nesterov, fused=fused)


def lr_factor(recipe: Recipe, step: int, steps_per_epoch: int, steps: int | None = None) -> float:
    """What the learning rate is multiplied with at a step, counted from 0 over the whole run.

    ``one_cycle`` is that of L. Smith and N. Topin, "Super-Convergence", 2018, with cosine flanks.

    Args:
        recipe: Says the schedule.
        step: Which.
        steps_per_epoch: Of every epoch but one that ends early.
        steps: Of all epochs; by default, none ends early.
    """
    total = recipe.epochs * steps_per_epoch if steps is None else steps
    warmup = recipe.warmup * steps_per_epoch
    factor = min(1.0, (step + 1) / warmup) if warmup else 1.0
    if recipe.schedule == "step":
        factor *= recipe.step_factor ** (step // steps_per_epoch // recipe.step_epochs)
    elif recipe.schedule == "cosine":
        factor *= _between(1.0, 0.0, max(0.0, step - warmup) / max(1.0, total - warmup))
    elif recipe.schedule == "one_cycle":
        peak = _CYCLE_RISE * total
        if step < peak:
            factor *= _between(_CYCLE_START, 1.0, step / peak)
        else:
            factor *= _between(1.0, _CYCLE_END, (step - peak) / max(1.0, total - 1 - peak))
    return factor


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(1.0, share))) / 2
