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
    """All captions of a batch, and the images of some rows of it, uint8 [m, size, size, 3]."""

    captions: list[str]
    images: NDArray[np.uint8]


class CaptionedImages(Protocol):
    """An endless source of captioned images.

    A process that computes only some rows of a batch asks for the images of these; the captions of
    all rows come with them, because random spelling is drawn over the whole batch.
    """

    def batch(self, start: int, n: int, size: int, *, rows: range | None = None) -> CaptionedBatch:
        """Return samples start ... start + n - 1 at ``size`` pixels; images of ``rows`` only."""

    def contrastive_batch(
        self, start: int, n: int, size: int, *, rows: range | None = None
    ) -> CaptionedBatch:
        """Like `batch`, with near misses beside each other (such as swapped colours)."""

    def all_captions(self) -> Sequence[str]:
        """Return texts that together contain every word of the data, for the vocabulary."""

    def classes(self) -> Sequence[str]:
        """Return what the classes of pictures are called in captions; empty where it has none."""
