"""How well an image fits its text, in the joint space of a judge CLIP."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from dalle2eval.metrics.arrays import Floats, as_features, unit_rows
from dalle2eval.records import InputError


def clip_score(image_features: ArrayLike, text_features: ArrayLike) -> Floats:
    """Return 100 x cosine of each image with its text, [n], in [-100, 100]; higher is better.

    Negative values are kept, where Hessel et al. (arXiv 2104.08718) cut at 0 and scale by 2.5.

    Args:
        image_features: [n, d] in the texts' space.
        text_features: [n, d], row i belongs to image i.

    Raises:
        InputError: the shapes differ, or a row is all zeros or not finite.
    """
    images, texts = as_aligned(image_features, text_features)
    return np.asarray(100.0 * np.einsum("nd,nd->n", images, texts))


def as_aligned(image_features: ArrayLike, text_features: ArrayLike) -> tuple[Floats, Floats]:
    """Return image and text features as unit rows of one shape [n, d].

    Raises:
        InputError: the shapes differ, or a row is all zeros or not finite.
    """
    images = as_features(image_features, "image features")
    texts = as_features(text_features, "text features")
    if images.shape != texts.shape:
        raise InputError(
            f"image features {list(images.shape)} and text features {list(texts.shape)} differ: "
            "one text an image"
        )
    return unit_rows(images, "image features"), unit_rows(texts, "text features")
