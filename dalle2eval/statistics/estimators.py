"""From scores or features to Estimates: the number with its n and its 95% interval.

``estimate_scores`` serves metrics of single images, ``estimate_features`` metrics of whole sets;
both choose the interval by the metric's row in ``METRICS``. Intervals are for new prompts from the
same source: prompts are the clusters, because seeds of one prompt are not independent. The
reference set is taken as given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dalle2eval.metrics import MetricInfo
from dalle2eval.metrics.info import Range
from dalle2eval.records import ALL, Estimate, InputError, Score
from dalle2eval.statistics.features import Features
from dalle2eval.statistics.influence import group_codes, influence_interval
from dalle2eval.statistics.intervals import (
    FEW_PROMPTS,
    ROUNDING,
    Clusters,
    Interval,
    as_clusters,
    clipped,
    cluster_bootstrap_interval,
    clustered_wilson_interval,
    equal_prompts_interval,
    t_interval,
    wilson_interval,
)
from dalle2eval.statistics.set_influence import caution, set_influence, with_pairs

ONE_PROMPT = "an interval needs images of two prompts or more"


def estimate_scores(
    scores: Sequence[Score], metric: MetricInfo, *, slice: str = ALL, seed: int = 0
) -> Estimate:
    """Return the mean or the share of one metric's scores; the unscored are counted and left out.

    Args:
        scores: of one arm, one per image.
        metric: ``proportion`` takes Wilson's interval, at the effective n where a prompt has
            several images; ``mean`` the BCa bootstrap over prompts, or clustered t where they are
            fewer than `FEW_PROMPTS`. No interval leaves the metric's range.
        slice: the tag of the prompts that the scores belong to.
        seed: of the bootstrap.

    Raises:
        InputError: a score is of another metric, or a pass/fail score is neither 0 nor 1.
    """
    require_scores_of(metric, scores)
    scored = [score for score in scores if score.value is not None]
    base = _unknown(metric, len(scored), slice, _why_unscored(scores))
    base = replace(base, num_unscored=len(scores) - len(scored))
    if not scored:
        return base
    clusters = score_clusters(scored)
    pass_fail = metric.estimator == "proportion"
    if len(clusters.sums) == 1 and not (pass_fail and len(scored) == 1):
        return replace(base, reason=ONE_PROMPT)
    if pass_fail:
        return _known(base, clusters.mean, *_share_interval(clusters))
    interval, method = _mean_interval(clusters, seed)
    return _within(metric, _known(base, clusters.mean, interval, method), len(clusters.sums))


def estimate_features(
    generated: Features,
    metric: MetricInfo,
    *,
    reference: Features | None = None,
    slice: str = ALL,
) -> Estimate:
    """Return a metric over a set of images, with the interval from each image's influence on it.

    Distances to a reference set are for fresh generated sets of the same n against this same
    reference set. The Fréchet distance keeps its bias of the sample size, which the note
    estimates. When it has no more images than dimensions there is no value, but a reason.

    Raises:
        InputError: the metric needs a reference set and there is none, or is not one over features.
        NotComparable: the reference set's features are of another extractor.
    """
    if metric.estimator == "within-prompt":
        generated = with_pairs(generated)
    base = _unknown(metric, len(generated.keys), slice, ONE_PROMPT)
    base = replace(base, extractor=generated.extractor)
    if len(set(generated.prompts)) < 2:  # noqa: PLR2004
        return base
    influence = set_influence(metric, generated, reference)
    if isinstance(influence, str):
        return replace(base, reason=influence)
    if metric.estimator == "precision":
        inside = as_clusters(np.rint(influence.first + influence.value), influence.groups)
        return _known(base, influence.value, *_share_interval(inside))
    interval = influence_interval(influence)
    found = _known(base, influence.value, interval, "influence")
    found = _within(metric, found, len(set(generated.prompts)))
    return replace(found, note=caution(metric, generated, reference, influence))


def require_scores_of(metric: MetricInfo, scores: Sequence[Score]) -> None:
    """Refuse scores of another metric, and pass/fail scores between 0 and 1.

    Raises:
        InputError: there is one.
    """
    for score in scores:
        if score.metric != metric.name:
            raise InputError(f"expected scores of {metric.name}, got one of {score.metric}")
        if metric.estimator == "proportion" and score.value not in (None, 0.0, 1.0):
            raise InputError(f"{metric.name} is pass/fail: 0 or 1, got {score.value}")


def score_clusters(scored: Sequence[Score]) -> Clusters:
    """Return the scores, all with a value, added up by prompt."""
    codes = group_codes([score.key.prompt_id for score in scored])
    return as_clusters(np.array([score.value for score in scored], dtype=np.float64), codes)


def _share_interval(clusters: Clusters) -> tuple[Interval, str]:
    """Return interval and method of the share of 1 among scores of 0 and 1."""
    if clusters.counts.max() > 1:
        return clustered_wilson_interval(clusters), "clustered-wilson"
    return wilson_interval(float(clusters.sums.sum()), len(clusters.sums)), "wilson"


def _mean_interval(clusters: Clusters, seed: int) -> tuple[Interval, str]:
    """Return interval and method of a mean over prompts."""
    num = len(clusters.sums)
    if num < FEW_PROMPTS:
        return t_interval(clusters.mean, clusters.standard_error, num), "cluster-t"
    return cluster_bootstrap_interval(clusters, seed=seed), "cluster-bootstrap"


def _within(metric: MetricInfo, found: Estimate, num_prompts: int) -> Estimate:
    """Return an estimate whose interval keeps to the metric's range, or why it has none.

    Equal prompts claim no certainty: a handful says nothing of how much others differ, and more say
    only how few do.
    """
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    bounds = metric.bounds(found.n)
    whole = clipped(Interval(found.value, found.value), bounds).low  # rounding may leave the range
    interval, method = Interval(found.low, found.high), found.method
    if interval.high - interval.low <= ROUNDING * _scale(whole, bounds):
        if num_prompts < FEW_PROMPTS:
            why = (
                f"{num_prompts} equal prompts: an interval needs {FEW_PROMPTS}, or two that differ"
            )
            return _unknown_from(found, why)
        interval = equal_prompts_interval(whole, num_prompts, bounds)
        method = "equal-prompts"
    interval = clipped(interval, bounds)
    return replace(found, value=whole, low=interval.low, high=interval.high, method=method)


def _unknown_from(found: Estimate, reason: str) -> Estimate:
    return replace(found, value=None, low=None, high=None, method="none", reason=reason)


def _scale(value: float, bounds: Range) -> float:
    least, largest = bounds
    return abs(value) if least is None or largest is None else largest - least


def _unknown(metric: MetricInfo, n: int, slice: str, reason: str) -> Estimate:
    return Estimate(
        metric=metric.name,
        value=None,
        low=None,
        high=None,
        n=n,
        method="none",
        higher_is_better=metric.higher_is_better,
        slice=slice,
        unit=metric.unit,
        reason=reason,
    )


def _known(base: Estimate, value: float, interval: Interval, method: str) -> Estimate:
    return replace(
        base, value=value, low=interval.low, high=interval.high, method=method, reason=None
    )


def _why_unscored(scores: Sequence[Score]) -> str:
    """Return the most frequent reason why there is no score."""
    reasons = Counter(score.reason for score in scores if score.value is None)
    if not reasons:
        return "no image was scored"
    return f"no image was scored: {reasons.most_common(1)[0][0]}"
