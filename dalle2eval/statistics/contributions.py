"""Metrics over sets, compared in pairs from what each image contributed when it was measured.

A run folder or a baseline keeps first(i) of every image (`influence`), a few kilobytes where the
features would be megabytes. The difference of two arms then has the plug-in variance of
first_a(i) - first_b(i): without the pairs' second order it errs on the wide side (Efron and Stein
1981), so that a gate built on it raises fewer false alarms than it promises, never more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dalle2eval.metrics import MetricInfo
from dalle2eval.records import Comparison, Contribution, NotComparable, SampleKey
from dalle2eval.statistics.comparisons import Arms, Label
from dalle2eval.statistics.estimators import ONE_PROMPT
from dalle2eval.statistics.features import Features
from dalle2eval.statistics.influence import Influence, group_codes
from dalle2eval.statistics.set_influence import set_influence, with_pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A metric over one set with what each image contributed.

    Attributes:
        value: of the metric.
        extractor: the network and its weights hash.
        first: of every image, by its key.
    """

    value: float
    extractor: str | None
    first: Mapping[SampleKey, float]


def contributions_of(
    generated: Features, metric: MetricInfo, *, reference: Features | None = None
) -> tuple[Contribution, ...]:
    """Return what each image adds to a metric over features; nothing where it has no value."""
    if metric.estimator == "within-prompt":
        generated = with_pairs(generated)
    if len(set(generated.prompts)) < 2:  # noqa: PLR2004
        return ()
    influence = set_influence(metric, generated, reference)
    if isinstance(influence, str):
        return ()
    return tuple(
        Contribution(key=key, metric=metric.name, value=float(value))
        for key, value in zip(generated.keys, influence.first, strict=True)
    )


def compare_contributions(
    arm: Measured, reference_arm: Measured, metric: MetricInfo, *, arms: Arms
) -> Comparison:
    """Return the paired difference of a metric over sets.

    Raises:
        NotComparable: the extractors differ, or the prompts and seeds.
    """
    keys = _shared_keys(arm, reference_arm)
    label = Label(metric=metric, arms=arms, slice="all", n_pairs=len(keys))
    codes = group_codes([key.prompt_id for key in keys])
    num_prompts = len(set(codes))
    if num_prompts < 2:  # noqa: PLR2004
        return label.unknown(ONE_PROMPT)
    first = np.array([arm.first[key] - reference_arm.first[key] for key in keys])
    difference = Influence(value=arm.value - reference_arm.value, first=first, groups=codes)
    return label.paired(difference, num_prompts, "paired-influence, first order")


def _shared_keys(arm: Measured, reference_arm: Measured) -> Sequence[SampleKey]:
    if arm.extractor != reference_arm.extractor:
        raise NotComparable(
            f"features of {arm.extractor!r} cannot be compared with those of "
            f"{reference_arm.extractor!r}"
        )
    odd = arm.first.keys() ^ reference_arm.first.keys()
    if odd:
        key = min(odd)
        raise NotComparable(
            f"{len(odd)} images have no partner of the same prompt and seed, "
            f"first {key.prompt_id!r} seed {key.seed}"
        )
    return sorted(arm.first)
