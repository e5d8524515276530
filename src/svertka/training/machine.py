"""The processes, devices and threads of a run."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from svertka.errors import UserError
from svertka.runtime.cores import available_cores
from svertka.training.recipe import Recipe

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_PRECISIONS = {"auto": "32-true", "fp32": "32-true", "bf16": "bf16-mixed"}


class Machine:
    """The processes, devices and threads of a run; started by ``torchrun``, the processes that it made.

    Precision that is not decided yet counts as fp32. Sums are made in a fixed order from here on, since a resumed
    run must end with the same bits.

    Args:
        recipe: Says which device, precision and number of threads.

    Attributes:
        world: Number of processes.
        rank: Which of them this is.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.world = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        self._local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        torch.set_num_threads(recipe.threads or max(1, available_cores() // self._local))
        torch.set_deterministic_debug_mode("warn")  # use_deterministic_algorithms imports the compiler, for seconds
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]

    @property
    def first(self) -> bool:
        """Whether this process is the one that speaks and writes."""
        return self.rank == 0

    @contextmanager
    def first_goes_first(self) -> Iterator[None]:
        """The first process does the block, then the others."""
        if self.world == 1:
            yield
            return
        with self.fabric.rank_zero_first():
            yield

    @cached_property
    def fabric(self) -> Fabric:
        """What gradient descent needs of them: it takes seconds to import, so it starts when it is asked for.

        Raises:
            UserError: There is no such device here.
        """
        from lightning_fabric import Fabric

        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it tells of every process that it starts
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice on cluster plugins that are not used here
            try:
                fabric = Fabric(
                    accelerator=self.recipe.device,
                    devices=self._local,
                    num_nodes=self.world // self._local,
                    strategy="ddp" if self.world > 1 else "auto",
                    precision=_PRECISIONS[self.recipe.precision],  # type: ignore[arg-type]
                )
            except RuntimeError as error:
                if self.recipe.device in ("auto", "cpu"):
                    raise
                what = f"this machine has no device {self.recipe.device!r} that PyTorch can use"
                raise UserError(what, mend="give --device auto") from error
            fabric.launch()
        return fabric


def laid_out(inputs: torch.Tensor, layout: torch.memory_format) -> torch.Tensor:
    """Inputs in a memory layout, if they are images; features ``(N, D)`` have only one."""
    return inputs.to(memory_format=layout) if inputs.ndim == 4 else inputs
