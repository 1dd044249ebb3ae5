"""How well an image fits its text, in the joint space of a judge CLIP."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from dalle2eval.metrics.arrays import Floats, as_features, unit_rows
from dalle2eval.records import InputError

R_CANDIDATES = 100  # texts to choose from, the true one included (arXiv 1711.10485)


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


def r_precision(
    image_features: ArrayLike, text_features: ArrayLike, prompts: Sequence[str]
) -> Floats:
    """Return [n]: 1 where an image's own text is its nearest of 100 (Xu et al., 1711.10485).

    The 99 others are drawn from the set's other texts by the text itself, so that every arm and
    every batch meets the same ones. With fewer than 100 different texts all of them are used:
    compare only over equal sets of prompts.

    Args:
        image_features: [n, d] in the texts' space.
        text_features: [n, d], row i belongs to image i.
        prompts: [n], the texts; equal texts count as one candidate.

    Raises:
        InputError: the shapes differ, there is only one text, or a row is all zeros or not finite.
    """
    images, texts = as_aligned(image_features, text_features)
    first_rows = {prompt: row for row, prompt in reversed(list(enumerate(prompts)))}
    if len(prompts) != len(texts) or len(first_rows) < 2:  # noqa: PLR2004
        raise InputError("R-precision needs one prompt an image and two different prompts or more")
    ordered = sorted(first_rows)
    rivals = {
        prompt: [first_rows[other] for other in _rivals(prompt, ordered)] for prompt in ordered
    }
    own = np.einsum("nd,nd->n", images, texts)
    best_rival = [
        (texts[rivals[prompt]] @ image).max() for image, prompt in zip(images, prompts, strict=True)
    ]
    return np.asarray(own > best_rival, dtype=np.float64)


def _rivals(prompt: str, ordered: list[str]) -> list[str]:
    """Return up to 99 other texts, drawn by the prompt's own hash."""
    others = [other for other in ordered if other != prompt]
    if len(others) < R_CANDIDATES:
        return others
    seed = int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:8])
    picks = np.random.default_rng(seed).choice(len(others), R_CANDIDATES - 1, replace=False)
    return [others[pick] for pick in picks]
