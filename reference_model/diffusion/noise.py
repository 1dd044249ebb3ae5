"""Noise that belongs to an image: a function of (prompt id, seed, stage) and nothing else.

Not of the arm, the batch, the rank or a global seed, so arms can be compared in pairs and the same
image comes out at any batch size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

NoiseKey = tuple[str, int]  # (prompt id, seed)


class KeyedNoise:
    """Successive unit Gaussian draws, one independent stream for each key.

    Args:
        keys: (prompt id, seed) of each sample in the batch.
        stage: name of the stage that asks, such as ``decoder``.
        device: where the draws go; they are always made on the CPU, so devices agree.
    """

    def __init__(
        self, keys: Sequence[NoiseKey], stage: str, device: torch.device | str = "cpu"
    ) -> None:
        self._streams = [_stream(prompt_id, seed, stage) for prompt_id, seed in keys]
        self._device = device

    def draw(self, *shape: int) -> Tensor:
        """Return the next float32 [n, *shape]."""
        rows = [stream.standard_normal(shape, dtype=np.float32) for stream in self._streams]
        return torch.from_numpy(np.stack(rows)).to(self._device)


def _stream(prompt_id: str, seed: int, stage: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{stage}\0{seed}\0{prompt_id}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))
