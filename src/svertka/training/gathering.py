"""Outputs of all processes, gathered with their gradients, for losses over the pairs of a whole batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from svertka.errors import UserError

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Gathered(nn.Module):
    """A network that says of a batch what all processes together say of it, in the order that one process would have.

    Every process computes the same loss from that. The gradient that comes back to its own rows is the sum over all
    processes, so that the mean of their gradients is the gradient of the loss.

    Args:
        net: The network.
        fabric: The processes.
        rows: Samples that this process has of the batch.
        counted: How many of these count: none where it has but one to keep step with the others.
    """

    def __init__(self, net: nn.Module, fabric: Fabric, rows: int, counted: int) -> None:
        super().__init__()
        self._module, self._fabric, self._rows = [net], fabric, rows
        mine = torch.tensor([counted, rows], device=fabric.device)
        told = fabric.all_gather(mine)
        assert isinstance(told, Tensor)
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
        every = self._fabric.all_gather(padded, sync_grads=padded.requires_grad)
        assert isinstance(every, Tensor)
        return every.flatten(0, 1)[self._order]
