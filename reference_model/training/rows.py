"""Which rows of a step's batch one pass computes, and the random numbers that belong to them.

A batch is shared out over processes (ranks) and then over passes whose gradients are added up.
Random numbers are drawn for the whole batch and the own rows are taken, so a sample's noise
depends on the step and its place in the batch, never on rank or number of passes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows first ... last - 1 of a batch.

    Attributes:
        step: of the training, from 0.
        batch_size: rows of the whole batch, over all processes and passes.
        first, last: this pass's.
        own_first, own_last: this process's, over its passes of the step.
    """

    step: int
    batch_size: int
    first: int
    last: int
    own_first: int
    own_last: int

    @property
    def range(self) -> range:
        """Return the row numbers."""
        return range(self.first, self.last)

    @property
    def share(self) -> float:
        """Return this pass's share of the batch, 0 to 1."""
        return (self.last - self.first) / self.batch_size

    @property
    def start(self) -> int:
        """Return the number of the batch's first sample in the whole training."""
        return self.step * self.batch_size

    def __len__(self) -> int:
        """Return how many rows there are."""
        return self.last - self.first

    def of(self, whole: Tensor) -> Tensor:
        """Return the rows of a tensor [batch_size, ...]."""
        return whole[self.first : self.last]

    def rand(self, source: torch.Generator, *shape: int) -> Tensor:
        """Return uniform numbers [len, *shape]; the whole batch's are drawn."""
        return self.of(torch.rand(self.batch_size, *shape, generator=source))

    def randn(self, source: torch.Generator, *shape: int) -> Tensor:
        """Return unit noise [len, *shape]; the whole batch's is drawn."""
        return self.of(torch.randn(self.batch_size, *shape, generator=source))


def whole_batch(batch_size: int, step: int = 0) -> Rows:
    """Return all rows of a batch as one pass."""
    return Rows(
        step=step,
        batch_size=batch_size,
        first=0,
        last=batch_size,
        own_first=0,
        own_last=batch_size,
    )


def shared_out(step: int, batch_size: int, *, passes: int, rank: int, world: int) -> list[Rows]:
    """Return one process's passes of a step, in order.

    Raises:
        ValueError: the batch cannot be shared out evenly, which would weigh samples differently.
    """
    if batch_size % (passes * world):
        raise ValueError(
            f"loop.batch_size is {batch_size}; it must be a multiple of loop.accumulate x processes"
            f" ({passes} x {world})"
        )
    size, own = batch_size // (passes * world), batch_size // world
    return [
        Rows(
            step=step,
            batch_size=batch_size,
            first=first,
            last=first + size,
            own_first=rank * own,
            own_last=(rank + 1) * own,
        )
        for first in range(rank * own, (rank + 1) * own, size)
    ]
