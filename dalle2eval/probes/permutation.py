"""Permutation tests: exact under exchangeability, at any number of items.

p = (1 + shuffles at least as extreme) / (1 + shuffles), which is never 0 (Phipson and Smyth 2010).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

SHUFFLES = 2000


def label_test(
    features: NDArray[np.floating],
    statistic: Callable[[NDArray[np.floating]], float],
    *,
    shuffles: int = SHUFFLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Return a statistic of grouped items, and how often shuffled items reach it.

    Args:
        features: [groups, items, d]; under the null hypothesis items do not know their group.
        statistic: of such an array; large values speak against the null hypothesis.
        shuffles: how many.
        seed: of the shuffling.
    """
    rng = np.random.default_rng(seed)
    found = statistic(features)
    items = features.reshape(-1, features.shape[-1])
    reached = sum(
        statistic(items[rng.permutation(len(items))].reshape(features.shape)) >= found
        for _ in range(shuffles)
    )
    return found, (1 + reached) / (1 + shuffles)


def two_sample_test(
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    *,
    shuffles: int = SHUFFLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Return mean(first) - mean(second), and how often shuffled values reach it (one-sided)."""
    rng = np.random.default_rng(seed)
    both = np.concatenate([first, second]).astype(np.float64)
    n = len(first)

    def difference(values: NDArray[np.float64]) -> float:
        return float(values[:n].mean() - values[n:].mean())

    found = difference(both)
    # Rounding must not make a shuffle that repeats the found split look smaller.
    reached = sum(difference(rng.permutation(both)) >= found - 1e-12 for _ in range(shuffles))
    return found, (1 + reached) / (1 + shuffles)
