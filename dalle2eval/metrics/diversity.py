"""How different the images are: over the whole set (Vendi score) and inside each prompt."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg

from dalle2eval.metrics.arrays import Floats, as_features, require_rows, unit_rows
from dalle2eval.records import InputError


def vendi_score(generated: ArrayLike) -> float:
    """Return the Vendi score of features [n, d] in [1, n]: how many images differ, in effect.

    exp(-Σ λ log λ) over the eigenvalues of the cosine similarities divided by n (Friedman and
    Dieng, arXiv 2210.02410). When d < n the d x d matrix with the same eigenvalues is used. It
    grows with n: compare at equal n only.

    Raises:
        InputError: it is no finite table, or a row is all zeros.

    >>> round(float(vendi_score([[1.0, 0.0], [0.0, 2.0]])), 6)
    2.0
    """
    x = unit_rows(as_features(generated, "generated"), "generated")
    gram = x @ x.T if len(x) <= x.shape[1] else x.T @ x
    gram /= len(x)
    spectrum = linalg.eigvalsh(gram, driver="evd", overwrite_a=True, check_finite=False)
    return float(np.exp(entropy(np.asarray(spectrum))))


def entropy(spectrum: Floats) -> float:
    """Return -Σ λ log λ in nats; eigenvalues at or below 0 are rounding and count as 0."""
    positive = spectrum[spectrum > 0]
    return float(-(positive * np.log(positive)).sum())


def within_prompt_distance(generated: ArrayLike, groups: Sequence[Hashable]) -> float:
    """Return the mean over prompts of the mean pairwise cosine distance inside a prompt, in [0, 2].

    Args:
        generated: features [n, d].
        groups: [n], the prompt of each image. Prompts with one image have no pair and are left out.

    Raises:
        InputError: no prompt has two images, or the lengths differ, or a row is all zeros.
    """
    distances = within_prompt_distances(generated, groups)
    if not distances:
        raise InputError("diversity within a prompt needs a prompt with two images or more")
    return float(np.mean(list(distances.values())))


def within_prompt_distances(
    generated: ArrayLike, groups: Sequence[Hashable]
) -> dict[Hashable, float]:
    """Return, per prompt with k >= 2 images, 1 - mean cosine of its k(k-1)/2 pairs.

    The sum over pairs follows from the sum s of the unit vectors: 2 Σ cos = |s|² - k.

    Raises:
        InputError: the lengths differ, or a row is all zeros.
    """
    x = unit_rows(as_features(generated, "generated"), "generated")
    if len(groups) != len(x):
        raise InputError(f"got {len(x)} images but {len(groups)} prompts; one prompt an image")
    rows: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        rows.setdefault(group, []).append(row)
    return {group: _mean_distance(x[ids]) for group, ids in rows.items() if len(ids) > 1}


def within_prompt_spread(images: ArrayLike) -> float:
    """Return the mean squared distance over the k(k-1)/2 pairs of features [k, d], k >= 2.

    Σ over pairs |xᵢ - xⱼ|² = k Σ |xᵢ|² - |Σ xᵢ|², taken about the mean so that nothing cancels.

    Raises:
        InputError: it is no finite table, or has one row.
    """
    x = as_features(images, "images of a prompt")
    require_rows(x, 2, "images of a prompt")
    centred = x - x.mean(axis=0)
    return 2.0 * float(np.vdot(centred, centred)) / (len(x) - 1)


def _mean_distance(units: Floats) -> float:
    k, total = len(units), units.sum(axis=0)
    return float(1.0 - (total @ total - k) / (k * (k - 1)))
