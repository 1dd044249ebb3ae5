"""Kernel distances, unbiased MMD² (Gretton et al. 2012): KID (1801.01401), CMMD (2401.09603).

Every pair is used once, in blocks, where common practice draws random subsets and adds their
noise. What is returned per row lets the statistics compute a standard error without a second pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from dalle2eval.metrics.arrays import (
    Floats,
    Rows,
    as_feature_pair,
    centred,
    require_rows,
    squared_distances,
    unit_rows,
)

BLOCK = 1024  # rows a block: 8 MB of float64 a kernel block, inside the cache of a current CPU
CMMD_BANDWIDTH = 10.0  # arXiv 2401.09603 §4
CMMD_SCALE = 1000.0  # the same paper reports the distance times 1000

Kernel = Callable[[Rows, Rows], Floats]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KernelMeans:
    """Mean kernel values of each row, from which MMD² and its variance follow.

    Attributes:
        within: [n], of each generated image with the other generated images.
        across: [n], of each generated image with all reference images.
        reference: mean over all pairs of different reference images.
    """

    within: Floats
    across: Floats
    reference: float

    @property
    def squared_distance(self) -> float:
        """The unbiased MMD²; it may be slightly negative when the two sets are alike."""
        return float(self.within.mean() + self.reference - 2.0 * self.across.mean())


def kernel_distance(generated: ArrayLike, reference: ArrayLike) -> float:
    """Return KID: unbiased MMD² of features [n, d] and [m, d] under k(x, y) = (xᵀy/d + 1)³.

    Zero in expectation when both sets come from one distribution, at any n; hence slightly
    negative values occur.

    Raises:
        InputError: a set is no finite table, has fewer than two rows, or their widths differ.
    """
    x, y = _checked_pair(generated, reference)
    origin, given = y.mean(axis=0), (generated, reference)
    kernel = partial(cubic_kernel, origin=origin)
    return _means(centred(x, origin, given), centred(y, origin, given), kernel).squared_distance


def cmmd(generated: ArrayLike, reference: ArrayLike) -> float:
    """Return CMMD of CLIP features [n, d], [m, d]: 1000 x unbiased MMD², Gaussian kernel.

    Rows are scaled to length 1 first. The published code is the biased estimator in float32; this
    is unbiased and keeps 1e-9 relative because the kernel is taken as exp(.) - 1, whose constant
    cancels in MMD².

    Raises:
        InputError: a set is no finite table, has fewer than two rows or a zero row, or their
            widths differ.
    """
    x, y = _checked_pair(generated, reference)
    x, y = unit_rows(x, "generated"), unit_rows(y, "reference")
    origin, given = y.mean(axis=0), (generated, reference)
    rows = centred(x, origin, given), centred(y, origin, given)
    return CMMD_SCALE * _means(*rows, gaussian_kernel).squared_distance


def kernel_means(generated: ArrayLike, reference: ArrayLike, kernel: Kernel) -> KernelMeans:
    """Return the mean kernel values of each generated row (see KernelMeans).

    Raises:
        InputError: a set is no finite table, has fewer than two rows, or their widths differ.
    """
    return _means(*_checked_pair(generated, reference), kernel)


def _checked_pair(generated: ArrayLike, reference: ArrayLike) -> tuple[Floats, Floats]:
    x, y = as_feature_pair(generated, reference)
    require_rows(x, 2, "generated")
    require_rows(y, 2, "reference")
    return x, y


def _means(x: Rows, y: Rows, kernel: Kernel) -> KernelMeans:
    return KernelMeans(
        within=_pair_sums(x, kernel) / (len(x) - 1),
        across=cross_means(x, y, kernel),
        reference=float(_pair_sums(y, kernel).sum()) / (len(y) * (len(y) - 1)),
    )


def cross_means(x: Rows, y: Rows, kernel: Kernel) -> Floats:
    """Return [n]: the mean kernel value of each row of x [n, d] with all rows of y [m, d]."""
    sums = [_cross_sums(x[rows], y, kernel) for rows in _blocks(len(x))]
    return np.asarray(np.concatenate(sums) / len(y))


def cubic_kernel(x: Rows, y: Rows, *, origin: Floats | None = None) -> Floats:
    """Return (xᵀy/d + 1)³ for rows [n, d] and [m, d] (KID).

    Args:
        x: rows, less the origin where there is one.
        y: rows, likewise.
        origin: [d], what was taken off; the kernel is that of the rows with it.
    """
    base = np.asarray(x @ y.T, dtype=np.float64)
    if origin is not None:
        base += (x @ origin)[:, None]
        base += y @ origin + origin @ origin
    base /= x.shape[1]
    base += 1.0
    cube = base * base
    cube *= base
    return cube


def gaussian_kernel(x: Rows, y: Rows) -> Floats:
    """Return exp(-|x - y|²/2s²) - 1 for rows [n, d] and [m, d], s = 10 (CMMD)."""
    squared = squared_distances(x, y)
    squared /= -2.0 * CMMD_BANDWIDTH**2
    return np.asarray(np.expm1(squared, out=squared))


def _pair_sums(x: Rows, kernel: Kernel) -> Floats:
    """Return [n]: the sum of k(xᵢ, xⱼ) over j ≠ i, each block of pairs computed once."""
    sums = np.zeros(len(x))
    for rows in _blocks(len(x)):
        for columns in _blocks(len(x), start=rows.start):
            values = kernel(x[rows], x[columns])
            if columns.start == rows.start:
                np.fill_diagonal(values, 0.0)
            else:
                sums[columns] += values.sum(axis=0)
            sums[rows] += values.sum(axis=1)
    return sums


def _cross_sums(x: Rows, y: Rows, kernel: Kernel) -> Floats:
    sums = np.zeros(len(x))
    for columns in _blocks(len(y)):
        sums += kernel(x, y[columns]).sum(axis=1)
    return sums


def _blocks(n: int, start: int = 0) -> Iterator[slice]:
    return (slice(i, min(i + BLOCK, n)) for i in range(start, n, BLOCK))
