"""Which precision and memory layout are faster here is measured, not guessed."""

from __future__ import annotations

import copy
import json
import platform
import time
from collections.abc import Callable
from contextlib import suppress

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from svertka.errors import UserError
from svertka.runtime.files import cache_folder, make_folder, write_text
from svertka.tasks.task import Task
from svertka.training.machine import start_fabric
from svertka.training.optimisation import make_optimizer
from svertka.training.recipe import Layout, Precision, Recipe

_GAIN = 1.1  # a choice other than plain fp32 must be this much faster
_SECONDS = 0.25  # for each choice
_PIXELS = 1 << 20  # of a batch to time with, or one image

Choice = tuple[Precision, Layout]


def choose(net: nn.Module, task: Task, recipe: Recipe, *, image_shape: tuple[int, int, int], fabric: Fabric) -> Choice:
    """The fastest of the precisions and layouts that the recipe leaves open, for training steps of this network.

    What was measured once on a machine is remembered in the cache folder, so that a command given twice computes
    the same twice. Several processes, which might come to different choices, take the first one: plain fp32.

    Args:
        net: The network; it is copied.
        task: For its loss.
        recipe: ``precision`` and ``layout`` may be ``auto``.
        image_shape: (C, H, W) of the images.
        fabric: Where training will run.
    """
    device = fabric.device
    precisions: list[Precision] = [recipe.precision] if recipe.precision != "auto" else ["fp32"]
    if recipe.precision == "auto" and _has_bf16(device):
        precisions.append("bf16")
    layouts: list[Layout] = [recipe.layout] if recipe.layout != "auto" else ["channels_first", "channels_last"]
    choices: list[Choice] = [(precision, layout) for precision in precisions for layout in layouts]
    if len(choices) == 1 or fabric.world_size > 1:
        return choices[0]
    circumstances = (platform.node(), torch.__version__, str(device), torch.get_num_threads())
    work = (recipe.net, dict(recipe.net_options), recipe.optimizer, recipe.batch, image_shape)
    key = json.dumps([circumstances, work, choices])
    remembered = _remembered()
    for choice in choices:
        if list(choice) == remembered.get(key):
            return choice
    seconds = _measure(net, task, recipe, choices, image_shape, device)
    fastest = min(choices, key=lambda choice: seconds[choice])
    chosen = fastest if seconds[fastest] * _GAIN < seconds[choices[0]] else choices[0]
    with suppress(UserError):  # a cache folder that cannot be written costs the measurement next time, no more
        make_folder(cache_folder())
        write_text(cache_folder() / "speed.json", json.dumps({**remembered, key: chosen}, indent=0))
    return chosen


def _remembered() -> dict[str, list[str]]:
    try:
        values = json.loads((cache_folder() / "speed.json").read_text())
        return dict(values)
    except (OSError, ValueError, TypeError):
        return {}


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _measure(
    net: nn.Module,
    task: Task,
    recipe: Recipe,
    choices: list[Choice],
    shape: tuple[int, int, int],
    device: torch.device,
) -> dict[Choice, float]:
    count = max(2, min(recipe.batch, _PIXELS // (shape[1] * shape[2])))
    images = torch.rand(count, *shape, device=device)
    targets = torch.from_numpy(task.targets([task.classes[0]] * count)).to(device)
    steps = {choice: _step(net, task, recipe, choice, images, targets) for choice in choices}
    best = dict.fromkeys(choices, float("inf"))
    for choice in choices:
        steps[choice]()
    # In turns, so that a slow moment of the machine falls on all of them.
    for _ in range(3):
        for choice in choices:
            stop = time.perf_counter() + _SECONDS / 3
            while True:
                started = time.perf_counter()
                steps[choice]()
                now = time.perf_counter()
                best[choice] = min(best[choice], now - started)
                if now > stop:
                    break
    return best


def _step(
    net: nn.Module, task: Task, recipe: Recipe, choice: Choice, images: Tensor, targets: Tensor
) -> Callable[[], None]:
    precision, layout = choice
    memory_format = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    fabric = start_fabric(recipe.changed({"precision": precision}))
    copied = copy.deepcopy(net).to(memory_format=memory_format)
    module, optimizer = fabric.setup(copied, make_optimizer(copied, recipe, fabric.device))
    module.train()
    laid = images.to(memory_format=memory_format)

    def step() -> None:
        loss = torch.stack(list(task.step(module, laid, targets).values())).sum()
        fabric.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        if images.device.type == "cuda":
            torch.cuda.synchronize()

    return step
