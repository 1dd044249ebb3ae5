"""Which of two models is closer to one reference set? The relative-MMD test (arXiv 1511.04581).

For models that were not run on the same prompts and seeds; where they were, a paired comparison
is far sharper. Unlike the intervals elsewhere, it takes the reference set as a sample too: both
distances use the same one, and the variance of their difference knows it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dalle2eval.metrics.kernel import Kernel, cross_means, cubic_kernel
from dalle2eval.records import NotComparable
from dalle2eval.statistics.distance_influence import kernel_influence
from dalle2eval.statistics.estimators import ONE_PROMPT
from dalle2eval.statistics.features import Features, require_one_extractor
from dalle2eval.statistics.influence import group_codes, standard_error
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

    The difference is linear in each sample to first order: s² adds up the squared errors of both
    distances (`kernel_influence`) and that of the mean of 2 (k̄ᵣ₁ - k̄ᵣ₂) over the reference. Images
    of one prompt are not independent and count as one draw; taken one by one, equal models were
    told apart in 15% of runs with 4 images a prompt. t has one degree of freedom less than the
    fewest prompts of a sample.

    Args:
        first: n images of one model, independent of the second's.
        second: as many images of the other model.
        reference: m images.
        kernel: KID's cubic kernel by default.

    Raises:
        NotComparable: the extractors or the numbers of images differ, or a sample has one prompt.
    """
    _require_comparable(first, second, reference)
    ours, theirs = (
        kernel_influence(each.values, reference.values, group_codes(each.prompts), kernel)
        for each in (first, second)
    )
    difference = ours.value - theirs.value
    of_reference = cross_means(reference.values, first.values, kernel)
    of_reference -= cross_means(reference.values, second.values, kernel)
    shared = as_clusters(of_reference, group_codes(reference.prompts)).standard_error
    error = math.hypot(standard_error(ours), standard_error(theirs), 2.0 * shared)
    num_prompts = min(len(set(of.prompts)) for of in (first, second, reference))
    interval, p_value = _judged(difference, error, num_prompts)
    return RelativeDistance(
        difference=difference,
        interval=interval,
        p_value=p_value,
        n=len(first.keys),
        m=len(reference.keys),
    )


def _require_comparable(first: Features, second: Features, reference: Features) -> None:
    require_one_extractor(first, second)
    require_one_extractor(first, reference)
    n = len(first.keys)
    if len(second.keys) != n:
        raise NotComparable(f"{n} images cannot be compared with {len(second.keys)}")
    for each in (first, second, reference):
        if len(set(each.prompts)) < 2:  # noqa: PLR2004
            raise NotComparable(ONE_PROMPT)


def _judged(difference: float, error: float, num_prompts: int) -> tuple[Interval, float]:
    """Return interval and p-value; without any spread nothing is proven."""
    if error == 0:
        return Interval(min(difference, 0.0), max(difference, 0.0)), 1.0
    return t_interval(difference, error, num_prompts), t_test(difference, error, num_prompts)
