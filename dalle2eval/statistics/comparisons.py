"""An arm against its reference arm on shared prompts and seeds: difference = arm - reference arm.

Arms share the noise of their images, so the difference of two arms is known far better than either
value; an unpaired comparison throws that away. The verdict is read from the 95% interval alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dalle2eval.metrics import MetricInfo
from dalle2eval.metrics.arrays import Floats
from dalle2eval.records import ALL, Comparison, NotComparable, SampleKey, Score
from dalle2eval.statistics.estimators import ONE_PROMPT, require_scores_of
from dalle2eval.statistics.features import Features, aligned
from dalle2eval.statistics.influence import Influence, group_codes, standard_error
from dalle2eval.statistics.intervals import (
    FEW_PROMPTS,
    ROUNDING,
    Interval,
    as_clusters,
    clipped,
    t_interval,
)
from dalle2eval.statistics.paired import (
    agreeing,
    clustered_t,
    mcnemar_exact,
    newcombe_interval,
    sign_flip_test,
    t_test,
    verdict,
)
from dalle2eval.statistics.set_influence import set_influence, with_pairs

NO_SPREAD = "all prompts contribute alike to both arms: there is no spread to judge a difference by"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arms:
    """The names of the two arms: the one in question and the one it is held against."""

    arm: str
    reference: str


def compare_scores(
    scores: Sequence[Score],
    reference_scores: Sequence[Score],
    metric: MetricInfo,
    *,
    arms: Arms,
    slice: str = ALL,
) -> Comparison:
    """Return the paired difference of one metric's scores over the images scored in both arms.

    Means: t over prompts with the clustered standard error. Pass/fail with one image a prompt:
        McNemar's exact test with Newcombe's interval; with several: the sign-flip test of prompts
        with t, or with Newcombe's interval where fewer than `FEW_PROMPTS` prompts differ. The
        interval of pass/fail reaches to 0 where the exact test does not reject.

    Raises:
        InputError: a score is of another metric, or a pass/fail score is neither 0 nor 1.
        NotComparable: the arms share no prompt and seed.
    """
    require_scores_of(metric, scores)
    require_scores_of(metric, reference_scores)
    pairs = _score_pairs(scores, reference_scores)
    codes = group_codes([key.prompt_id for key, _, _ in pairs])
    values = np.array([(a, b) for _, a, b in pairs], dtype=np.float64).reshape(-1, 2)
    label = Label(metric=metric, arms=arms, slice=slice, n_pairs=len(pairs))
    one_each = len(pairs) == len(set(codes))
    if metric.estimator == "proportion" and one_each and pairs:
        return label.known(values[:, 0].mean() - values[:, 1].mean(), *_mcnemar(values))
    if len(set(codes)) < 2:  # noqa: PLR2004
        return label.unknown(ONE_PROMPT + ", scored in both arms")
    differences = as_clusters(values[:, 0] - values[:, 1], codes)
    interval, p_value = clustered_t(differences)
    method = "paired-cluster-t"
    if metric.estimator == "proportion":
        p_value, method = sign_flip_test(differences.sums), "sign-flip"
        if np.count_nonzero(differences.sums) < FEW_PROMPTS:
            interval = _newcombe_of_prompts(values, len(differences.sums))
        interval = agreeing(interval, p_value)
    return label.known(differences.mean, interval, p_value, method)


def compare_features(
    generated: Features,
    reference_arm: Features,
    metric: MetricInfo,
    *,
    arms: Arms,
    reference: Features | None = None,
    slice: str = ALL,
) -> Comparison:
    """Return the paired difference of a metric over sets, such as ΔFD against one reference set.

    The standard error is that of the differences of the two arms' influences, image by image. The
    bias of the sample size is nearly the same in both arms and cancels.

    Args:
        generated: features of the arm.
        reference_arm: features of the arm that it is held against: the same prompts and seeds.
        metric: its row in ``METRICS``.
        arms: their names.
        reference: the reference set of images, for a distance.
        slice: the tag of the prompts.

    Raises:
        InputError: the metric needs a reference set and there is none, or is not one over features.
        NotComparable: the arms differ in extractor, number of images, prompts or seeds (see
            ``shared``).
    """
    partner = aligned(generated, reference_arm)
    if metric.estimator == "within-prompt":
        generated, partner = with_pairs(generated), with_pairs(partner)
    label = Label(metric=metric, arms=arms, slice=slice, n_pairs=len(generated.keys))
    num_prompts = len(set(generated.prompts))
    if num_prompts < 2:  # noqa: PLR2004
        return label.unknown(ONE_PROMPT)
    first = set_influence(metric, generated, reference)
    second = set_influence(metric, partner, reference)
    if isinstance(first, str) or isinstance(second, str):
        return label.unknown(first if isinstance(first, str) else str(second))
    return label.paired(first - second, num_prompts, "paired-influence")


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """All of a Comparison but its numbers, which `known` or `unknown` adds."""

    metric: MetricInfo
    arms: Arms
    slice: str
    n_pairs: int

    def known(
        self, difference: float, interval: Interval, p_value: float, method: str
    ) -> Comparison:
        """Return the comparison with its numbers; its interval keeps to what can differ."""
        interval = clipped(interval, self.metric.difference_bounds(self.n_pairs))
        return Comparison(
            arm=self.arms.arm,
            reference=self.arms.reference,
            metric=self.metric.name,
            difference=float(difference),
            low=interval.low,
            high=interval.high,
            n_pairs=self.n_pairs,
            method=method,
            verdict=verdict(interval, self.metric.higher_is_better),
            p_value=p_value,
            slice=self.slice,
        )

    def paired(self, difference: Influence, num_prompts: int, method: str) -> Comparison:
        """Return the comparison by the influence of a difference, by t over prompts.

        Two arms that differ while every prompt contributes alike to both (two collapsed arms) have
        no spread to judge by: t would call the smallest difference certain.
        """
        value, error = difference.value, standard_error(difference)
        if value != 0 and error <= ROUNDING * abs(value):
            return self.unknown(NO_SPREAD)
        interval = t_interval(value, error, num_prompts)
        return self.known(value, interval, t_test(value, error, num_prompts), method)

    def unknown(self, reason: str) -> Comparison:
        """Return the comparison that could not be made, with the reason."""
        return Comparison(
            arm=self.arms.arm,
            reference=self.arms.reference,
            metric=self.metric.name,
            difference=None,
            low=None,
            high=None,
            n_pairs=self.n_pairs,
            method="none",
            verdict="not compared",
            slice=self.slice,
            reason=reason,
        )


def _score_pairs(
    scores: Sequence[Score], reference_scores: Sequence[Score]
) -> list[tuple[SampleKey, float, float]]:
    partners = {score.key: score.value for score in reference_scores}
    if not any(score.key in partners for score in scores):
        raise NotComparable("the arms share no prompt and seed")
    pairs = []
    for score in scores:
        partner = partners.get(score.key)
        if score.value is not None and partner is not None:
            pairs.append((score.key, score.value, partner))
    return pairs


def _newcombe_of_prompts(values: Floats, num_prompts: int) -> Interval:
    """Return Newcombe's interval of outcomes [n, 2] that tell as much as one pair a prompt.

    Where hardly a prompt differs there is no variance to judge by, and t would claim certainty: 16
    equal prompts do not prove that no prompt of the source differs.
    """
    arm, reference = values.T
    cells = (arm * reference, arm * (1 - reference), (1 - arm) * reference)
    both, only_arm, only_reference = (float(cell.mean()) * num_prompts for cell in cells)
    neither = num_prompts - both - only_arm - only_reference
    return newcombe_interval(both, only_arm, only_reference, max(neither, 0.0))


def _mcnemar(values: Floats) -> tuple[Interval, float, str]:
    """Return interval, p-value and method of paired outcomes [n, 2] of 0 and 1."""
    passed = values == 1.0
    both = int(passed.all(axis=1).sum())
    neither = int((~passed).all(axis=1).sum())
    only_arm = int((passed[:, 0] & ~passed[:, 1]).sum())
    only_reference = len(values) - both - neither - only_arm
    p_value = mcnemar_exact(only_arm, only_reference)
    interval = newcombe_interval(both, only_arm, only_reference, neither)
    return agreeing(interval, p_value), p_value, "mcnemar"
