"""Outputs of all processes, gathered with their gradients, for losses over the pairs of a whole batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from svertka.errors import UserError


class Gathered(nn.Module):
    """A network that says of a batch what all processes together say of it, in the order that one process would have.

    Every process computes the same loss from that. The gradient that comes back to its own rows is the sum over all
    processes, so that the mean of their gradients is the gradient of the loss.

    Args:
        net: The network.
        device: Where it is.
        rows: Samples that this process has of the batch.
        counted: How many of these count: none where it has but one to keep step with the others.
    """

    def __init__(self, net: nn.Module, device: torch.device, rows: int, counted: int) -> None:
        super().__init__()
        self._module, self._rows = [net], rows
        told = _Gather.apply(torch.tensor([counted, rows], device=device)).view(-1, 2)
        counts, self._most = told[:, 0].tolist(), int(told[:, 1].max())
        # A batch is dealt out sample by sample.
        self._order = [
            process * self._most + row for row in range(self._most) for process, own in enumerate(counts) if row < own
        ]

    def forward(self, *given: Any) -> Any:
        """What the network says of the whole batch."""
        return tree_map_only(Tensor, self.gather, self._module[0](*given))

    def __getattr__(self, name: str) -> Any:
        """Whatever else is asked of the network."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self._module[0], name)

    def gather(self, values: Tensor) -> Tensor:
        """The rows of all processes, of one that this process has for each of its samples.

        Raises:
            UserError: It has not a row for each of them.
        """
        if not values.ndim or len(values) != self._rows:
            raise UserError(
                "the loss is over a whole batch, and the network does not give a row for each sample of it",
                mend="let it call the network with the batch, and give (N, …)",
            )
        padding = values.new_zeros(self._most - self._rows, *values.shape[1:])
        padded = torch.cat([values, padding]) if len(padding) else values
        every: Tensor = _Gather.apply(padded)
        return every[self._order]


class _Gather(torch.autograd.Function):
    """The rows of all processes, one process after another; every process gets back what its rows do to all losses."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        del ctx
        every = [torch.empty_like(values) for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather(every, values.contiguous())
        return torch.cat(every)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        del ctx
        whole = gradient.clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(whole)
        return whole.chunk(torch.distributed.get_world_size())[torch.distributed.get_rank()]
