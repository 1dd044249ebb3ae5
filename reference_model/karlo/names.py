"""State dicts of others, read one tensor at a time, so that nothing is left over unseen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from reference_model.manifest import CheckpointError


class Source:
    """A state dict of another layout, which knows what has been taken from it.

    Args:
        tensors: names and tensors, also on the meta device.
        label: what to call it in an error.
    """

    def __init__(self, tensors: Mapping[str, Tensor], label: str) -> None:
        self.tensors, self.label = tensors, label
        self._left = set(tensors)

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def shape(self, name: str) -> tuple[int, ...]:
        """Return a tensor's shape without taking it."""
        return tuple(self._tensor(name).shape)

    def take(self, name: str) -> Tensor:
        """Return a tensor in float32 and mark it as taken.

        Raises:
            CheckpointError: there is none of this name.
        """
        self._left.discard(name)
        return self._tensor(name).float()

    def layer(self, ours: str, theirs: str) -> Iterator[tuple[str, Tensor]]:
        """Yield weight and bias of a layer under our name."""
        for part in ("weight", "bias"):
            yield f"{ours}.{part}", self.take(f"{theirs}.{part}")

    def count(self, pattern: str) -> int:
        """Return how many numbers k in a row, from 0, have a tensor named ``pattern.format(k)``."""
        k = 0
        while pattern.format(k) in self.tensors:
            k += 1
        return k

    def finish(self) -> None:
        """Refuse tensors that nobody took: they would be silently ignored.

        Raises:
            CheckpointError: some are left.
        """
        if self._left:
            first = ", ".join(sorted(self._left)[:3])
            raise CheckpointError(
                f"{self.label}: {len(self._left)} unknown tensors, such as {first}"
            )

    def _tensor(self, name: str) -> Tensor:
        if name not in self.tensors:
            raise CheckpointError(f"{self.label}: tensor {name!r} is missing")
        return self.tensors[name]
