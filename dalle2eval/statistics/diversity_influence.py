"""Contribution of each image to the Vendi score, as a delete-one jackknife sees it.

With R = Σ xᵢ xᵢᵀ / n of unit rows, VS = exp(H), H = -tr R log R, leaving image i out changes H by

    (n - 1)(H - H₋ᵢ) = -xᵢᵀ log R xᵢ - H + (Σₖₗ fₖₗ xᵢₖ² xᵢₗ² - 1) / 2(n - 1) + …,
    fₖₗ = (log λₖ - log λₗ)/(λₖ - λₗ), fₖₖ = 1/λₖ,

in the eigenbasis of R: one eigendecomposition in place of n. Without the second term the standard
error is 7% short at n = 2.5 d, because each image has pulled R towards itself. The bootstrap is
invalid here: a resampled duplicate is an image that adds no diversity.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from dalle2eval.metrics.arrays import Floats, unit_rows
from dalle2eval.metrics.diversity import entropy
from dalle2eval.statistics.influence import NEGLIGIBLE, Influence


def vendi_influence(generated: Floats, groups: NDArray[np.intp]) -> Influence:
    """Return the influence of the Vendi score of features [n, d]."""
    x = unit_rows(generated, "generated")
    spectrum, shares = _spectrum(x)
    positive = spectrum > spectrum[-1] * NEGLIGIBLE
    spectrum, shares = spectrum[positive], shares[:, positive]
    total = entropy(spectrum)
    score = float(np.exp(total))
    pull = ((shares @ _log_slopes(spectrum)) * shares).sum(axis=1) - 1.0
    first = score * (pull / (2.0 * (len(x) - 1)) - shares @ np.log(spectrum) - total)
    return Influence(value=score, first=first - first.mean(), groups=groups)


def _log_slopes(spectrum: Floats) -> Floats:
    """Return (log λₖ - log λₗ)/(λₖ - λₗ) [k, k], by log1p where the two are close."""
    gap = spectrum[:, None] - spectrum
    ratio = gap / spectrum
    safe = np.where(np.abs(ratio) < 1e-12, 1.0, ratio)  # noqa: PLR2004
    slopes = np.where(safe == ratio, np.log1p(safe) / safe, 1.0)
    return np.asarray(slopes / spectrum)


def _spectrum(x: Floats) -> tuple[Floats, Floats]:
    """Return the eigenvalues of R and each row's squared part along each eigenvector [n, k]."""
    n, d = x.shape
    if n <= d:
        spectrum, vectors = linalg.eigh(x @ x.T / n)
        return np.asarray(spectrum), np.asarray(n * spectrum * vectors**2)
    spectrum, vectors = linalg.eigh(x.T @ x / n)
    return np.asarray(spectrum), np.asarray((x @ vectors) ** 2)
