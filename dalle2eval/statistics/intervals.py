"""95% intervals of proportions and of means over prompts.

Images of one prompt share its difficulty, so the prompt is the unit: n images of G prompts carry
at most the information of G independent judgements when the images of a prompt agree. Ignoring it
raised 43% false alarms at a nominal 5% in one simulation (evalsig); Miller, arXiv 2411.00640 gives
the clustered standard error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from dalle2eval.metrics.arrays import Floats
from dalle2eval.metrics.info import Range

LEVEL = 0.95
RESAMPLES = 2000
# Below so many prompts an interval is value ± t s, nothing finer. A bootstrap of the mean never
# leaves the prompts' own range, which holds the centre of a symmetric law with probability
# 1 - 2^(1 - G) (David and Nagaraja 2003, §7.1): 94% at G = 5, 97% at 6. And the skewness of G
# numbers is at most (G - 2)/√(G - 1) whatever their law (Wilkins 1944), so it bends nothing.
FEW_PROMPTS = 6
ROUNDING = 1e-11  # a spread below this part of the value is none
BLOCK = 4_000_000  # resampled cluster numbers at once: 32 MB


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the truth lies with 95% confidence."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """Scores added up inside each prompt.

    Attributes:
        sums: [g], the sum of a prompt's scores.
        counts: [g], how many scores it has, at least 1.
    """

    sums: Floats
    counts: Floats

    @property
    def mean(self) -> float:
        """Mean over all scores."""
        return float(self.sums.sum() / self.counts.sum())

    @property
    def standard_error(self) -> float:
        """Clustered standard error of the mean, Taylor form with G/(G - 1) (arXiv 2411.00640)."""
        num = len(self.sums)
        residuals = self.sums - self.mean * self.counts
        scale = num / (num - 1) / self.counts.sum() ** 2
        return float(np.sqrt(scale * (residuals @ residuals)))


def wilson_interval(successes: float, n: float, *, quantile: float | None = None) -> Interval:
    """Return Wilson's score interval of a proportion (Wilson 1927), inside [0, 1].

    Args:
        successes: how many of n passed, 0 … n; may be fractional for an effective n.
        n: how many independent trials, above 0.
        quantile: of the two-sided error; 1.96 when None.

    >>> wilson_interval(0, 10)
    Interval(low=0.0, high=0.2775...)
    """
    z = _normal_quantile() if quantile is None else quantile
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else max(0.0, float(centre - half))
    high = 1.0 if successes == n else min(1.0, float(centre + half))
    return Interval(low, high)


def clustered_wilson_interval(clusters: Clusters) -> Interval:
    """Return Wilson's interval at the effective number of trials (Dean and Pagano 2015).

    n is divided by the design effect, never less than 1, and z is replaced by t with G - 1 degrees
    of freedom. When all or none passed the design effect is unknown, and the number of prompts
    stands for n.
    """
    n, share, num = float(clusters.counts.sum()), clusters.mean, len(clusters.sums)
    binomial = share * (1 - share) / n
    effect = clusters.standard_error**2 / binomial if binomial > 0 else n / num
    effective = n / max(1.0, effect)
    quantile = float(stats.t.ppf((1 + LEVEL) / 2, num - 1))
    return wilson_interval(share * effective, effective, quantile=quantile)


def clipped(interval: Interval, bounds: Range) -> Interval:
    """Return the part of an interval that lies within the values that a metric can have.

    The truth lies there too, so nothing of the confidence is lost.

    Args:
        interval: as a formula gave it.
        bounds: least and largest value, None where there is none.

    >>> clipped(Interval(-0.1, 0.3), (0.0, 1.0))
    Interval(low=0.0, high=0.3)
    """
    least, largest = (-np.inf if bounds[0] is None else bounds[0], bounds[1])
    ends = np.clip([interval.low, interval.high], least, np.inf if largest is None else largest)
    return Interval(float(ends[0]), float(ends[1]))


def equal_prompts_interval(value: float, num_prompts: int, bounds: Range) -> Interval:
    """Return the interval of a value to which all prompts contributed alike.

    G equal prompts do not prove that all are: where a share q of the source's prompts differs, G in
    a row are equal with probability (1 - q)^G, so that 95% leave room for q = 1 - 0.025^(1/G), and
    those may lie at either end of the range. An end without bound stands as far off as the value is
    from 0, and at least 1: a letter wrong for each letter asked for, a density of one more.

    >>> equal_prompts_interval(0.0, 128, (0.0, 1.0))
    Interval(low=0.0, high=0.0284...)
    """
    share, room = 1.0 - ((1 - LEVEL) / 2) ** (1.0 / num_prompts), max(1.0, abs(value))
    least, largest = bounds
    down = room if least is None else value - least
    up = room if largest is None else largest - value
    return Interval(value - share * max(0.0, down), value + share * max(0.0, up))


def t_interval(value: float, standard_error: float, num_clusters: float) -> Interval:
    """Return value ± t with G - 1 degrees of freedom x standard error."""
    half = float(stats.t.ppf((1 + LEVEL) / 2, num_clusters - 1)) * standard_error
    return Interval(value - half, value + half)


def cluster_bootstrap_interval(
    clusters: Clusters, *, seed: int = 0, resamples: int = RESAMPLES
) -> Interval:
    """Return the BCa interval of the mean, resampling whole prompts (Efron 1987).

    Its levels are those of the expanded percentile interval (Hesterberg 2015), √(G/(G - 1)) t in
    place of z: without them it is too short at G below about 100.

    Args:
        clusters: at least two.
        seed: of the resampling; the same seed gives the same interval.
        resamples: how many.
    """
    num, mean = len(clusters.sums), clusters.mean
    means = _resampled_means(clusters, np.random.default_rng(seed), resamples)
    below = (means < mean).mean() + (means == mean).mean() / 2.0
    bias = special.ndtri(np.clip(below, 1 / resamples, 1 - 1 / resamples))
    quantile = np.sqrt(num / (num - 1)) * stats.t.ppf((1 + LEVEL) / 2, num - 1)
    shifted = bias + np.array([-quantile, quantile])
    levels = special.ndtr(bias + shifted / (1.0 - _acceleration(clusters) * shifted))
    low, high = np.quantile(means, np.sort(levels))
    return Interval(min(float(low), mean), max(float(high), mean))


def _resampled_means(clusters: Clusters, rng: np.random.Generator, resamples: int) -> Floats:
    num = len(clusters.sums)
    rows = max(1, BLOCK // num)
    parts = []
    for start in range(0, resamples, rows):
        picks = rng.integers(0, num, size=(min(rows, resamples - start), num))
        parts.append(clusters.sums[picks].sum(axis=1) / clusters.counts[picks].sum(axis=1))
    return np.concatenate(parts)


def _acceleration(clusters: Clusters) -> float:
    """Return the skewness of the delete-one-prompt means over 6 (Efron 1987, Eq. 6.6)."""
    total, n = clusters.sums.sum(), clusters.counts.sum()
    without = (total - clusters.sums) / (n - clusters.counts)
    pull = without.mean() - without
    spread = float((pull**2).sum())
    return float((pull**3).sum() / (6.0 * spread**1.5)) if spread > 0 else 0.0


def as_clusters(values: ArrayLike, codes: ArrayLike) -> Clusters:
    """Return scores [n] added up by group number [n] (0, 1, 2 … without gaps)."""
    numbers = np.asarray(codes)
    return Clusters(
        sums=np.asarray(np.bincount(numbers, weights=np.asarray(values)), dtype=np.float64),
        counts=np.bincount(numbers).astype(np.float64),
    )


def _normal_quantile() -> float:
    return float(special.ndtri((1 + LEVEL) / 2))
