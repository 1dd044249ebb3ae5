"""What a training stage asks of its data: the k-th captioned image, a pure function of k.

The reference model does not know where pictures come from; whoever starts a training hands in an
object with this shape (the scenes world, a folder of image-caption pairs).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class CaptionedBatch(NamedTuple):
    """Captions with their images, uint8 [n, size, size, 3]."""

    captions: list[str]
    images: NDArray[np.uint8]


class CaptionedImages(Protocol):
    """An endless or finite source of captioned images."""

    def batch(self, start: int, n: int, size: int) -> CaptionedBatch:
        """Return samples start ... start + n - 1 at ``size`` pixels."""

    def contrastive_batch(self, start: int, n: int, size: int) -> CaptionedBatch:
        """Like `batch`, with near misses beside each other (such as swapped colours)."""

    def all_captions(self) -> Sequence[str]:
        """Return texts that together contain every word of the data, for the vocabulary."""

    def classes(self) -> Sequence[str]:
        """Return what the classes of pictures are called in captions; empty where it has none."""
