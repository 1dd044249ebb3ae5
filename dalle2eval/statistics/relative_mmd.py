"""Which of two models is closer to one reference set? The relative-MMD test (arXiv 1511.04581).

For models that were not run on the same prompts and seeds; where they were, a paired comparison
is far sharper. Unlike the intervals elsewhere, it takes the reference set as a sample too: both
distances use the same one, and the variance of their difference knows it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dalle2eval.metrics.arrays import Floats
from dalle2eval.metrics.kernel import Kernel, cross_means, cubic_kernel, kernel_means
from dalle2eval.records import NotComparable
from dalle2eval.statistics.estimators import ONE_PROMPT
from dalle2eval.statistics.features import Features, require_one_extractor
from dalle2eval.statistics.influence import group_codes
from dalle2eval.statistics.intervals import Interval, as_clusters, t_interval
from dalle2eval.statistics.paired import t_test


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
    """Return MMD²₁ - MMD²₂ with interval and p-value, its error s from the three samples.

    The difference is linear in each sample to first order: its variance is that of the means of
    2 (k̄₁₁ - k̄₁ᵣ) over the first, the same over the second, and of 2 (k̄ᵣ₁ - k̄ᵣ₂) over the reference.
    Images of one prompt are added up first, for they are not independent: counted one by one, equal
    models were told apart in 15% of runs with 4 images a prompt. t has one degree of freedom less
    than the fewest prompts of a sample.

    Args:
        first: n images of one model, independent of the second's.
        second: as many images of the other model.
        reference: m images.
        kernel: KID's cubic kernel by default.

    Raises:
        NotComparable: the extractors or the numbers of images differ, or a sample has one prompt.
    """
    require_one_extractor(first, second)
    require_one_extractor(first, reference)
    n, m = len(first.keys), len(reference.keys)
    if len(second.keys) != n:
        raise NotComparable(f"{n} images cannot be compared with {len(second.keys)}")
    for features in (first, second, reference):
        if len(set(features.prompts)) < 2:  # noqa: PLR2004
            raise NotComparable(ONE_PROMPT)
    ours = kernel_means(first.values, reference.values, kernel)
    theirs = kernel_means(second.values, reference.values, kernel)
    difference = ours.squared_distance - theirs.squared_distance
    to_first = cross_means(reference.values, first.values, kernel)
    to_second = cross_means(reference.values, second.values, kernel)
    parts = [
        (ours.within - ours.across, first),
        (theirs.within - theirs.across, second),
        (to_first - to_second, reference),
    ]
    error = 2.0 * math.sqrt(sum(_variance_of_mean(values, of.prompts) for values, of in parts))
    num_prompts = min(len(set(of.prompts)) for _, of in parts)
    interval, p_value = _judged(difference, error, num_prompts)
    return RelativeDistance(
        difference=difference,
        interval=interval,
        p_value=p_value,
        n=n,
        m=m,
    )


def _variance_of_mean(values: Floats, prompts: Sequence[str]) -> float:
    """Return the squared standard error of the mean of values [n], clustered by prompt."""
    return as_clusters(values, group_codes(prompts)).standard_error ** 2


def _judged(difference: float, error: float, num_prompts: int) -> tuple[Interval, float]:
    """Return interval and p-value; without any spread nothing is proven."""
    if error == 0:
        return Interval(min(difference, 0.0), max(difference, 0.0)), 1.0
    return t_interval(difference, error, num_prompts), t_test(difference, error, num_prompts)
