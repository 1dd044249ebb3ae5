"""The bundled judge of the procedural world, for images of any size: brought to its 64 pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dalle2eval.features.extractor import Image
from dalle2eval.features.resizing import resize_to_uint8
from dalle2eval.protocols import TextImageEmbedder

SIDE = 64  # pixels


class ScenesExtractor:
    """The judge CLIP behind the clean resize, rounded to uint8."""

    family = "scenes"

    def __init__(self, judge: TextImageEmbedder) -> None:
        self.name = judge.name
        self.weights = judge.weights
        self.preprocessing = f"clean bicubic {SIDE} rounded, 1"
        self._judge = judge

    def prepare(self, image: Image) -> Image:
        """Return the image as it is; resizing is batched."""
        return image

    def embed(self, prepared: Sequence[Image]) -> NDArray[np.float32]:
        """Return features [n, d]."""
        if all(image.shape == (SIDE, SIDE, 3) for image in prepared):
            return self._judge.embed_images(np.stack(prepared))
        return self._judge.embed_images(resize_to_uint8(prepared, SIDE))

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit-length text features [n, d]."""
        return self._judge.embed_texts(texts)
