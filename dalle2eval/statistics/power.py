"""How small a difference n prompts can find, and how many prompts a wished difference needs.

The test is the one that comparisons use, t with n - 1 degrees of freedom: a true difference δ is
found with probability P(|T| > t), T of the noncentral t with δ √n/s, s the standard deviation of
one prompt's paired difference (Johnson, Kotz and Balakrishnan 1995, ch. 31). Normal quantiles
(Miller, arXiv 2411.00640 §5) promise 80% where 5 prompts give 57%. s comes from a comparison that
was run: its interval is as wide as 2 t s/√n.
"""

from __future__ import annotations

import math

from scipy import optimize, special, stats

from dalle2eval.records import Comparison, InputError
from dalle2eval.statistics.intervals import LEVEL

POWER = 0.8  # chance of finding a difference that is there
MOST_PROMPTS = 100_000  # beyond it t and the normal quantiles ask for the same number


def minimum_detectable_effect(spread: float, n: int, *, power: float = POWER) -> float:
    """Return the smallest true difference found with the given power, in the metric's unit.

    Args:
        spread: standard deviation of one prompt's paired difference, above 0.
        n: how many prompts, 2 or more.
        power: chance of finding it, in (0.5, 1).

    Raises:
        InputError: an argument lies outside its range.

    >>> round(minimum_detectable_effect(1.0, 100), 3)
    0.283
    """
    _check(spread, power)
    if n < 2:  # noqa: PLR2004
        raise InputError(f"power needs two prompts or more, got {n}")
    return _standard_effect(n, power) * spread / math.sqrt(n)


def prompts_needed(spread: float, effect: float, *, power: float = POWER) -> int:
    """Return how many prompts find a true difference with the given power.

    Args:
        spread: standard deviation of one prompt's paired difference, above 0.
        effect: the difference that should be found, above 0, in the metric's unit.
        power: chance of finding it, in (0.5, 1).

    Raises:
        InputError: an argument lies outside its range.

    >>> prompts_needed(1.0, 0.28)
    103
    """
    _check(spread, power)
    if not (math.isfinite(effect) and effect > 0):
        raise InputError(f"the wished effect must be above 0, got {effect}")
    # Normal quantiles ask for too few; from there the number is found by doubling and halving.
    start = (float(special.ndtri((1 + LEVEL) / 2) + special.ndtri(power)) * spread / effect) ** 2
    if start > MOST_PROMPTS:
        return math.ceil(start)  # t is z there
    few, enough = 1, max(2, math.ceil(start))
    while not _finds(spread, effect, enough, power):
        few, enough = enough, 2 * enough
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (few, middle) if _finds(spread, effect, middle, power) else (middle, enough)
    return enough


def spread_of(comparison: Comparison, num_prompts: int) -> float:
    """Return the standard deviation of one prompt's paired difference, from a comparison.

    It holds for metrics of images and, through their influences, for distances and diversity. Where
    an exact test did not reject, the interval was widened to reach 0 (`paired.agreeing`); the
    spread is then that of the wider interval, and the power that follows errs on the low side.

    Args:
        comparison: with an interval.
        num_prompts: how many prompts it covers (not images).

    Raises:
        InputError: it has no interval, or fewer than two prompts.
    """
    if comparison.low is None or comparison.high is None or num_prompts < 2:  # noqa: PLR2004
        raise InputError(f"{comparison.metric}: {comparison.reason or 'too few prompts'}")
    quantile = float(stats.t.ppf((1 + LEVEL) / 2, num_prompts - 1))
    return (comparison.high - comparison.low) / (2 * quantile) * math.sqrt(num_prompts)


def _finds(spread: float, effect: float, n: int, power: float) -> bool:
    return minimum_detectable_effect(spread, n, power=power) <= effect


def _standard_effect(n: int, power: float) -> float:
    """Return δ √n/s that the two-sided t test of n prompts finds with the given power."""
    freedom = n - 1
    quantile = float(stats.t.ppf((1 + LEVEL) / 2, freedom))
    # The other side rejects with a probability below 1e-4 where the power is above one half.
    return float(
        optimize.brentq(
            lambda shift: stats.nct.sf(quantile, freedom, shift) - power, 0.0, 10.0 * quantile
        )
    )


def _check(spread: float, power: float) -> None:
    if not (math.isfinite(spread) and spread > 0):
        raise InputError(f"the spread must be above 0, got {spread}")
    if not 0.5 < power < 1:  # noqa: PLR2004
        raise InputError(f"power must lie between 0.5 and 1, got {power}")
