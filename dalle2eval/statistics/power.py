"""How small a difference n prompts can find, and how many prompts a wished difference needs.

n = (z(1 - a/2) + z(power))² s²/δ² (Miller, arXiv 2411.00640 §5), with s the standard deviation of
one prompt's paired difference. s comes from a comparison that was run: its interval is as wide as
2 t s/√n.
"""

from __future__ import annotations

import math

from scipy import special, stats

from dalle2eval.records import Comparison, InputError
from dalle2eval.statistics.intervals import LEVEL

POWER = 0.8  # chance of finding a difference that is there


def minimum_detectable_effect(spread: float, n: int, *, power: float = POWER) -> float:
    """Return the smallest true difference found with the given power, in the metric's unit.

    Args:
        spread: standard deviation of one prompt's paired difference, above 0.
        n: how many prompts, 2 or more.
        power: chance of finding it, in (0.5, 1).

    Raises:
        InputError: an argument lies outside its range.

    >>> round(minimum_detectable_effect(1.0, 100), 3)
    0.28
    """
    _check(spread, power)
    if n < 2:  # noqa: PLR2004
        raise InputError(f"power needs two prompts or more, got {n}")
    return _quantiles(power) * spread / math.sqrt(n)


def prompts_needed(spread: float, effect: float, *, power: float = POWER) -> int:
    """Return how many prompts find a true difference with the given power.

    Args:
        spread: standard deviation of one prompt's paired difference, above 0.
        effect: the difference that should be found, above 0, in the metric's unit.
        power: chance of finding it, in (0.5, 1).

    Raises:
        InputError: an argument lies outside its range.

    >>> prompts_needed(1.0, 0.28)
    101
    """
    _check(spread, power)
    if not (math.isfinite(effect) and effect > 0):
        raise InputError(f"the wished effect must be above 0, got {effect}")
    return max(2, math.ceil((_quantiles(power) * spread / effect) ** 2))


def spread_of(comparison: Comparison, num_prompts: int) -> float:
    """Return the standard deviation of one prompt's paired difference, from a comparison.

    It holds for metrics of images and, through their influences, for distances and diversity.

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


def _quantiles(power: float) -> float:
    return float(special.ndtri((1 + LEVEL) / 2) + special.ndtri(power))


def _check(spread: float, power: float) -> None:
    if not (math.isfinite(spread) and spread > 0):
        raise InputError(f"the spread must be above 0, got {spread}")
    if not 0.5 < power < 1:  # noqa: PLR2004
        raise InputError(f"power must lie between 0.5 and 1, got {power}")
