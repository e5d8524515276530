"""The processes, devices and threads of a run."""

from __future__ import annotations

import logging
import os
import warnings

import torch
from lightning_fabric import Fabric

from svertka.errors import UserError
from svertka.runtime.engines import available_cores
from svertka.training.recipe import Recipe

_PRECISIONS = {"auto": "32-true", "fp32": "32-true", "bf16": "bf16-mixed"}


def start_fabric(recipe: Recipe) -> Fabric:
    """The devices and processes of a run, started; started by ``torchrun``, the processes that it made.

    Precision that is not decided yet counts as fp32. Sums are made in a fixed order from here on, since a resumed
    run must end with the same bits.

    Raises:
        UserError: There is no such device here.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    torch.set_num_threads(recipe.threads or max(1, available_cores() // local))
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it tells of every process that it starts
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice on cluster plugins that are not used here
        try:
            fabric = Fabric(
                accelerator=recipe.device,
                devices=local,
                num_nodes=world // local,
                strategy="ddp" if world > 1 else "auto",
                precision=_PRECISIONS[recipe.precision],  # type: ignore[arg-type]
            )
        except RuntimeError as error:
            if recipe.device in ("auto", "cpu"):
                raise
            what = f"this machine has no device {recipe.device!r} that PyTorch can use"
            raise UserError(what, mend="give --device auto") from error
        fabric.launch()
    return fabric
