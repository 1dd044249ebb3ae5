"""What an extractor is to the pass: it prepares one image in a worker, and embeds many at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


class Extractor(Protocol):
    """Turns images uint8 [h, w, 3] of any size into features."""

    @property
    def name(self) -> str:
        """Name on the command line, such as ``inception`` or ``clip:ViT-B-32/openai``."""

    @property
    def family(self) -> str:
        """How the metrics over it are named: ``inception``, ``clip``, ``dinov2`` ..."""

    @property
    def weights(self) -> str:
        """SHA-256 of the weights."""

    @property
    def preprocessing(self) -> str:
        """What happens to an image before the network, and its version; part of the address."""

    def prepare(self, image: Image) -> Any:
        """Return what ``embed`` takes; called in several threads, once an image."""

    def embed(self, prepared: Sequence[Any]) -> NDArray[np.float32]:
        """Return features [n, d]."""


class TextExtractor(Extractor, Protocol):
    """An extractor whose image features, at unit length, lie in one space with those of texts."""

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit-length text features [n, d]."""
