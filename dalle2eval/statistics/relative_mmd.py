"""Which of two models is closer to one reference set? The relative-MMD test (arXiv 1511.04581).

For models that were not run on the same prompts and seeds; where they were, a paired comparison
is far sharper. Unlike the intervals elsewhere, it takes the reference set as a sample too: both
distances use the same one, and the variance of their difference knows it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from dalle2eval.metrics.kernel import Kernel, cross_means, cubic_kernel, kernel_means
from dalle2eval.records import NotComparable
from dalle2eval.statistics.features import Features, require_one_extractor
from dalle2eval.statistics.intervals import LEVEL, Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class RelativeDistance:
    """MMD² of the first model minus that of the second, with interval and two-sided p-value.

    Negative means that the first is closer to the reference.
    """

    difference: float
    interval: Interval
    p_value: float
    n: int
    m: int


def relative_mmd(
    first: Features, second: Features, reference: Features, *, kernel: Kernel = cubic_kernel
) -> RelativeDistance:
    """Return z = (MMD²₁ - MMD²₂)/s and its p-value, s² from the three independent samples.

    The difference is linear in each sample to first order: its variance is the sum of
    Var(2 (k̄₁₁ - k̄₁ᵣ))/n₁, the same of the second, and Var(2 (k̄ᵣ₁ - k̄ᵣ₂))/m of the reference.

    Args:
        first: n images of one model, independent of the second's.
        second: as many images of the other model.
        reference: m images.
        kernel: KID's cubic kernel by default.

    Raises:
        NotComparable: the extractors or the numbers of images differ.
    """
    require_one_extractor(first, second)
    require_one_extractor(first, reference)
    n, m = len(first.keys), len(reference.keys)
    if len(second.keys) != n:
        raise NotComparable(f"{n} images cannot be compared with {len(second.keys)}")
    ours = kernel_means(first.values, reference.values, kernel)
    theirs = kernel_means(second.values, reference.values, kernel)
    difference = ours.squared_distance - theirs.squared_distance
    to_first = cross_means(reference.values, first.values, kernel)
    to_second = cross_means(reference.values, second.values, kernel)
    variance = (
        4.0 * np.var(ours.within - ours.across, ddof=1) / n
        + 4.0 * np.var(theirs.within - theirs.across, ddof=1) / n
        + 4.0 * np.var(to_first - to_second, ddof=1) / m
    )
    error = float(np.sqrt(variance))
    half = float(special.ndtri((1 + LEVEL) / 2)) * error
    return RelativeDistance(
        difference=difference,
        interval=Interval(difference - half, difference + half),
        p_value=float(2.0 * stats.norm.sf(abs(difference) / error)),
        n=n,
        m=m,
    )
