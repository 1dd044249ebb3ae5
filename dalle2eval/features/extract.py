"""One pass of an extractor over images or texts: [n, d] float32, finite, one row each.

An extractor is named with its weights, because features of other weights are another space.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dalle2eval.protocols import ImageEmbedder, TextImageEmbedder
from dalle2eval.records import InputError

LABEL_DIGITS = 12  # of the weights' hash; enough to tell two extractors apart in a table


def extractor_label(name: str, weights: str) -> str:
    """Return how an extractor is named beside a number: ``scenes@`` and the start of its hash."""
    return f"{name}@{weights[:LABEL_DIGITS]}"


def embed_images(extractor: ImageEmbedder, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the features [n, d] of uint8 images [n, h, w, 3].

    Raises:
        InputError: the extractor did not return one finite row an image.
    """
    return checked_table(extractor.embed_images(images), len(images), extractor.name)


def embed_aligned(judge: TextImageEmbedder, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return image features [n, d] in the space of the judge's texts.

    Raises:
        InputError: the judge did not return one finite row an image.
    """
    return checked_table(judge.embed_aligned_images(images), len(images), judge.name)


def embed_texts(judge: TextImageEmbedder, texts: Sequence[str]) -> NDArray[np.float32]:
    """Return text features [n, d].

    Raises:
        InputError: the judge did not return one finite row a text.
    """
    return checked_table(judge.embed_texts(texts), len(texts), judge.name)


def checked_table(features: NDArray[np.float32], n: int, name: str) -> NDArray[np.float32]:
    """Return features as float32 [n, d].

    Raises:
        InputError: they are not one finite row each; names the extractor.
    """
    table = np.asarray(features, dtype=np.float32)
    if table.ndim != 2 or len(table) != n:  # noqa: PLR2004
        raise InputError(f"extractor {name}: expected [{n}, d] features, got {list(table.shape)}")
    if not np.isfinite(table).all():
        raise InputError(f"extractor {name}: its features are not finite")
    return table
