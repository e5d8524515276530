"""How few images a network can learn from at a step."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from svertka.tasks.task import Task


def least_images(net: nn.Module, task: Task, image_shape: tuple[int, ...]) -> int:
    """How few images a training step of this network takes: 1, or 2 where BatchNorm needs another one.

    A single value of a channel has no variance, so PyTorch refuses it. The network and the random numbers stay as
    they are.

    Args:
        net: The network, frozen as it will be in training.
        task: For its loss.
        image_shape: (C, H, W) of the images.
    """
    modes = {module: module.training for module in net.modules()}
    try:
        with torch.random.fork_rng(devices=[]):
            return 2 if 1 in _values_a_channel(net, task, image_shape) else 1
    finally:
        for module, mode in modes.items():
            module.training = mode


def _values_a_channel(net: nn.Module, task: Task, image_shape: tuple[int, ...]) -> list[int]:
    """How many values of each channel the normalisations that learn get of one image."""
    norms = [module for module in net.train().modules() if isinstance(module, _BatchNorm) and module.training]
    if not norms:
        return []
    device = next(net.parameters()).device
    image = torch.zeros(1, *image_shape, device=device)
    targets = task.trial_targets(net, image)
    net.train()
    found: list[int] = []

    def look(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        del module
        found.append(given[0].numel() // given[0].shape[1])

    hooks = [norm.register_forward_pre_hook(look) for norm in norms]
    for norm in norms:
        norm.eval()  # it takes a single value then, and keeps its statistics
    try:
        for update in task.updates(net):
            update.loss(net, image, targets)
    finally:
        for hook in hooks:
            hook.remove()
    return found
