"""Standard errors of metrics over sets, from what each image and each pair of images contributes.

A smooth metric of n images is, up to higher orders (von Mises expansion; Serfling 1980, ch. 6),

    value = expected value + (1/n) Σ first(i) + (1/n²) Σ second(i, j),

so its variance is V1 + V2 with V1 = Var(first)/n. The plug-in estimate of V1 (infinitesimal
jackknife) counts the second order twice (Efron and Stein 1981), which doubles the variance when
two sets are nearly alike. Hence Var = plug-in - V2, V2 = (2/n²) mean second². The bootstrap is no
way out: its duplicates add a second dose of the bias of distances. Proof by simulation:
``benchmarks/coverage.py``.

Images of one prompt are not independent, so contributions are added up inside each prompt first.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from dalle2eval.metrics.arrays import Floats
from dalle2eval.statistics.intervals import LEVEL, Interval, t_interval

# Beyond these the expansion of the interval's ends no longer holds.
MAX_ACCELERATION = 0.1
MAX_CURVATURE = 0.25
# Below so many groups the bends gain no coverage and the upper end runs off, to 35 standard errors
# at 6: KID of rectified features covers 89.7% bent and 89.0% straight with 8 prompts of 4 images,
# 90.3% and 91.7% with 12 of 2; with 30 of 1 the bends pay, 93.0% against 90.0%.
BENT_GROUPS = 20
NEGLIGIBLE = 1e-14  # of the largest eigenvalue; what lies below is rounding and no direction
MAX_PAIR_ROWS = 512  # rows of the pair table: enough for V2 to 3%, and 2 MB


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Influence:
    """A metric's value with what each image and pair of images contributes to it.

    Attributes:
        first: [n], mean 0.
        groups: [n], codes 0, 1, 2 … of what is independent: the prompt of each image.
        second: [s, s] over the images ``rows``, zero in expectation given either image; or None.
        rows: [s], the images in the pair table: whole prompts.
    """

    value: float
    first: Floats
    groups: NDArray[np.intp]
    second: Floats | None = None
    rows: NDArray[np.intp] | None = None

    def __sub__(self, other: Influence) -> Influence:
        """Return the influence of the difference of two metrics over paired images."""
        paired = self.second is not None and other.second is not None
        return Influence(
            value=self.value - other.value,
            first=self.first - other.first,
            groups=self.groups,
            second=self.second - other.second if paired else None,  # type: ignore[operator]
            rows=self.rows,
        )


def pair_rows(codes: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the rows of evenly spread whole groups [n], about MAX_PAIR_ROWS of them."""
    num_groups = int(codes.max()) + 1
    wanted = min(num_groups, max(2, num_groups * MAX_PAIR_ROWS // len(codes)))
    chosen = np.linspace(0, num_groups - 1, wanted).round()
    return np.flatnonzero(np.isin(codes, chosen))


def group_codes(groups: Sequence[Hashable]) -> NDArray[np.intp]:
    """Return 0, 1, 2 … per row: the number of its group, in order of first appearance."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(group, len(numbers)) for group in groups], dtype=np.intp)


def standard_error(influence: Influence) -> float:
    """Return the standard error of a metric; there must be two groups or more."""
    return float(np.sqrt(_cluster_moments(influence).variance))


def influence_interval(influence: Influence) -> Interval:
    """Return the 95% interval of a metric: the ABC interval of DiCiccio and Efron (1992).

    value + s (exp(2 c l) - 1)/2c, l = w/(1 - a w)², w = a + c ± t, with the acceleration a of the
    first order, the curvature c of the second along the first, and t of G - 1 degrees of freedom.
    Distances are skewed upwards; value ± t s misses them on one side. The paper has l + c l², which
    is the same to the second order and turns back where c is large. What is covered is measured by
    ``benchmarks/coverage.py``. The bias of the value at its n is part of it: the interval is for
    the metric's expected value at this n. With fewer than `BENT_GROUPS` groups a and c are hardly
    known, and the interval is value ± t s.
    """
    m = _cluster_moments(influence)
    if m.num_groups < BENT_GROUPS:
        return t_interval(influence.value, float(np.sqrt(m.variance)), m.num_groups)
    quantile = float(stats.t.ppf((1 + LEVEL) / 2, m.num_groups - 1))
    w = m.acceleration + m.curvature + np.array([-quantile, quantile])
    bent = w / (1.0 - m.acceleration * w) ** 2
    ends = influence.value + np.sqrt(m.variance) * _curved(bent, m.curvature)
    return Interval(
        min(float(ends.min()), influence.value), max(float(ends.max()), influence.value)
    )


def _curved(lengths: Floats, curvature: float) -> Floats:
    """Return l + c l² + …, as the exponential that rises everywhere."""
    if curvature == 0:
        return lengths
    return np.asarray(np.expm1(2.0 * curvature * lengths) / (2.0 * curvature))


@dataclass(frozen=True, slots=True, kw_only=True)
class _ClusterMoments:
    variance: float
    acceleration: float
    curvature: float
    num_groups: int


def _cluster_moments(influence: Influence) -> _ClusterMoments:
    """Return variance, acceleration and curvature from contributions added up by group."""
    n, codes = len(influence.first), influence.groups
    sums = np.bincount(codes, weights=influence.first)
    num_groups, squared = len(sums), float(sums @ sums)
    variance = squared / n**2 * num_groups / (num_groups - 1)
    if squared == 0:
        return _ClusterMoments(variance=0.0, acceleration=0.0, curvature=0.0, num_groups=num_groups)
    acceleration, curvature = float((sums**3).sum()) / (6.0 * squared**1.5), 0.0
    if influence.second is not None and influence.rows is not None:
        chosen, pairs = _group_pairs(influence.second, codes[influence.rows])
        all_pairs = num_groups * (num_groups - 1) / (len(chosen) * (len(chosen) - 1))
        # V2 = (2/n⁴) Σ pairs²; V1 + V2 is at least half of the plug-in V1 + 2 V2.
        second_order = 2.0 * all_pairs * float((pairs**2).sum()) / n**4
        variance = max(variance - second_order, variance / 2.0)
        # Along the direction of the first order, in units of the standard error that is used.
        along = float(sums[chosen] @ pairs @ sums[chosen]) / squared
        curvature = all_pairs * along / (n**2 * np.sqrt(variance))
    return _ClusterMoments(
        variance=variance,
        acceleration=float(np.clip(acceleration, -MAX_ACCELERATION, MAX_ACCELERATION)),
        curvature=float(np.clip(curvature, -MAX_CURVATURE, MAX_CURVATURE)),
        num_groups=num_groups,
    )


def _group_pairs(second: Floats, codes: NDArray[np.intp]) -> tuple[NDArray[np.intp], Floats]:
    """Return the groups [g] in the pair table and its sums over pairs of groups [g, g]."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    by_row = np.add.reduceat(second[np.ix_(order, order)], starts, axis=0)
    sums = np.add.reduceat(by_row, starts, axis=1)
    np.fill_diagonal(sums, 0.0)
    return ordered[starts], np.asarray(sums)
