"""Tests and intervals of the difference of two arms over shared prompts and seeds."""

from __future__ import annotations

import numpy as np
from scipy import stats

from dalle2eval.metrics.arrays import Floats
from dalle2eval.statistics.intervals import Clusters, Interval, t_interval, wilson_interval

EXACT_FLIPS = 12  # up to 2^12 sign patterns are enumerated
SAMPLED_FLIPS = 20_000
SIGNIFICANCE = 0.05


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p-value of McNemar's test (1947) from the discordant pairs.

    Args:
        only_first: pairs in which only the first arm passed.
        only_second: pairs in which only the second arm passed.

    >>> mcnemar_exact(0, 5)
    0.0625
    """
    fewer, discordant = min(only_first, only_second), only_first + only_second
    return min(1.0, 2.0 * float(stats.binom.cdf(fewer, discordant, 0.5)))


def newcombe_interval(
    both: float, only_first: float, only_second: float, neither: float
) -> Interval:
    """Return the interval of p1 - p2 of paired proportions (Newcombe 1998, method 10).

    Args:
        both: pairs in which both arms passed; a pair may count for a part.
        only_first: only the first arm.
        only_second: only the second arm.
        neither: neither arm.
    """
    n = both + only_first + only_second + neither
    p1, p2 = (both + only_first) / n, (both + only_second) / n
    first, second = wilson_interval(p1 * n, n), wilson_interval(p2 * n, n)
    phi = _phi(both, only_first, only_second, neither)
    down = _hypot(p1 - first.low, second.high - p2, phi)
    up = _hypot(first.high - p1, p2 - second.low, phi)
    return Interval(p1 - p2 - down, p1 - p2 + up)


def sign_flip_test(differences: Floats, *, seed: int = 0) -> float:
    """Return the two-sided p-value of the sum of differences [g] under random signs (Fisher 1935).

    Exact up to 12 nonzero differences, else by 20,000 seeded draws with the observed one counted
    in. It needs no variance, so it holds for a handful of discordant prompts where t does not.
    """
    nonzero = differences[differences != 0]
    if len(nonzero) == 0:
        return 1.0
    observed = abs(nonzero.sum()) * (1 - 1e-12)  # equal sums differ by rounding
    if len(nonzero) <= EXACT_FLIPS:
        patterns = np.arange(2 ** len(nonzero))[:, None] >> np.arange(len(nonzero)) & 1
        return float((np.abs((2 * patterns - 1) @ nonzero) >= observed).mean())
    rng = np.random.default_rng(seed)
    sums = np.zeros(SAMPLED_FLIPS)
    for difference in nonzero:  # one column at a time: flat memory for thousands of prompts
        sums += difference * (2 * rng.integers(0, 2, SAMPLED_FLIPS, dtype=np.int8) - 1)
    return float((1 + (np.abs(sums) >= observed).sum()) / (1 + SAMPLED_FLIPS))


def clustered_t(differences: Clusters) -> tuple[Interval, float]:
    """Return interval and two-sided p-value of a mean difference, clustered by prompt, G - 1 d.f.

    When all prompts differ by the same amount there is no variance to judge by: the p-value is
    then that of equal signs, 2 / 2^G, and the interval reaches to 0 where that rejects nothing.
    """
    num, mean, error = len(differences.sums), differences.mean, differences.standard_error
    interval = t_interval(mean, error, num)
    if error > abs(mean) * 1e-12:
        return interval, t_test(mean, error, num)
    p_value = 1.0 if mean == 0 else min(1.0, 2.0 ** (1 - num))
    return agreeing(interval, p_value), p_value


def t_test(value: float, standard_error: float, num_clusters: int) -> float:
    """Return the two-sided p-value of a value against 0 with G - 1 degrees of freedom."""
    if standard_error == 0:
        return 1.0 if value == 0 else 0.0
    return float(2.0 * stats.t.sf(abs(value) / standard_error, num_clusters - 1))


def agreeing(interval: Interval, p_value: float) -> Interval:
    """Return the interval, reaching to 0 where the exact test does not reject equality.

    Without it a table could show an interval beside 0 and the verdict "no difference found".
    """
    if p_value < SIGNIFICANCE:
        return interval
    return Interval(min(interval.low, 0.0), max(interval.high, 0.0))


def verdict(interval: Interval, higher_is_better: bool | None) -> str:  # noqa: FBT001
    """Return the words of records.Comparison: better, worse, higher, lower or no difference."""
    if interval.low <= 0 <= interval.high:
        return "no difference found"
    higher = interval.low > 0
    if higher_is_better is None:
        return "higher" if higher else "lower"
    return "better" if higher == higher_is_better else "worse"


def _phi(both: float, only_first: float, only_second: float, neither: float) -> float:
    """Return the correlation of the two arms' outcomes, with Newcombe's continuity correction."""
    margins = (
        (both + only_first)
        * (only_second + neither)
        * (both + only_second)
        * (only_first + neither)
    )
    if margins == 0:
        return 0.0
    n = both + only_first + only_second + neither
    excess = both * neither - only_first * only_second
    corrected = max(excess - n / 2, 0) if excess > 0 else excess
    return float(corrected / np.sqrt(margins))


def _hypot(a: float, b: float, phi: float) -> float:
    return float(np.sqrt(max(0.0, a * a - 2.0 * phi * a * b + b * b)))
