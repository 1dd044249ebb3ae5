"""Standard errors of metrics over sets, from what each image and each pair of images contributes.

A smooth metric of n images is, up to higher orders (von Mises expansion; Serfling 1980, ch. 6),

    value = expected value + (1/n) Σ first(i) + (1/n²) Σ second(i, j),

so its variance is V1 + V2 with V1 = Var(first)/n. The plug-in estimate of V1 (infinitesimal
jackknife) counts the second order twice (Efron and Stein 1981), which doubles the variance when
two sets are nearly alike. Hence Var = plug-in - V2, V2 = (2/n²) mean second². The bootstrap is no
way out: its duplicates
add a second dose of the bias of distances (evaluation by simulation: ``benchmarks/coverage.py``).

Images of one prompt are not independent, so contributions are added up inside each prompt first.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dalle2eval.metrics.arrays import Floats

MAX_PAIR_ROWS = 512  # rows of the pair table: enough for V2 to 3%, and 2 MB


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Influence:
    """A metric's value with what each image and pair of images contributes to it.

    Attributes:
        first: [n], mean 0.
        second: [s, s] over the images ``rows``, zero in expectation given either image; or None.
        rows: [s], the images in the pair table: whole prompts.
    """

    value: float
    first: Floats
    second: Floats | None = None
    rows: NDArray[np.intp] | None = None

    def __sub__(self, other: Influence) -> Influence:
        """Return the influence of the difference of two metrics over paired images."""
        paired = self.second is not None and other.second is not None
        return Influence(
            value=self.value - other.value,
            first=self.first - other.first,
            second=self.second - other.second if paired else None,  # type: ignore[operator]
            rows=self.rows,
        )


def pair_rows(groups: Sequence[Hashable]) -> NDArray[np.intp]:
    """Return the rows of evenly spread whole groups, about MAX_PAIR_ROWS of them."""
    codes = group_codes(groups)
    num_groups = int(codes.max()) + 1
    wanted = min(num_groups, max(2, num_groups * MAX_PAIR_ROWS // len(codes)))
    chosen = np.linspace(0, num_groups - 1, wanted).round()
    return np.flatnonzero(np.isin(codes, chosen))


def group_codes(groups: Sequence[Hashable]) -> NDArray[np.intp]:
    """Return 0, 1, 2 … per row: the number of its group, in order of first appearance."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(group, len(numbers)) for group in groups], dtype=np.intp)


def standard_error(influence: Influence, groups: Sequence[Hashable]) -> float:
    """Return the standard error of a metric whose images are independent between groups.

    Args:
        influence: over n images.
        groups: [n], the prompt of each image; at least two different ones.
    """
    n, codes = len(groups), group_codes(groups)
    sums = np.bincount(codes, weights=influence.first)
    num_groups = len(sums)
    plug_in = float(sums @ sums) / n**2 * num_groups / (num_groups - 1)
    if influence.second is None or influence.rows is None:
        return float(np.sqrt(plug_in))
    second_order = _second_order_variance(influence.second, codes[influence.rows], n, num_groups)
    return float(np.sqrt(max(plug_in - second_order, plug_in / 2)))


def _second_order_variance(
    second: Floats, codes: NDArray[np.intp], n: int, num_groups: int
) -> float:
    """Return V2 = 2 G (G - 1) / n⁴ x mean over pairs of groups of (Σ second)²."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    by_row = np.add.reduceat(second[np.ix_(order, order)], starts, axis=0)
    sums = np.add.reduceat(by_row, starts, axis=1)
    squares = sums * sums
    between = squares.sum() - np.trace(squares)
    pairs = len(sums) * (len(sums) - 1)
    return float(2.0 * num_groups * (num_groups - 1) / n**4 * between / pairs)
