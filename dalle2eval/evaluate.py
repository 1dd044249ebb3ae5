"""From what was measured of an arm's samples to its estimates and its paired comparisons.

The judge's last step: scores and features in, records out. It knows no model and makes no image, so
the same numbers come from a run, from a folder of images, or from a test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dalle2eval.metrics import METRICS, MetricInfo, clip_score, memorised, r_precision
from dalle2eval.records import (
    ALL,
    Comparison,
    Contribution,
    Estimate,
    InputError,
    Prompt,
    SampleKey,
    Score,
)
from dalle2eval.statistics import (
    Arms,
    Features,
    compare_features,
    compare_scores,
    contributions_of,
    estimate_features,
    estimate_scores,
)

CLIP_SCORE, R_PRECISION = "clip_score", "r_precision"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """All that was measured of one arm: features of its images, and scores of single images."""

    features: Features | None
    scores: tuple[Score, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measures:
    """What to compute.

    Attributes:
        metrics: in the order of the tables.
        prompts: by id; their tags are the slices.
        reference: features of real images of the same prompts, for the distances.
    """

    metrics: tuple[MetricInfo, ...]
    prompts: Mapping[str, Prompt]
    reference: Features | None = None

    @property
    def slices(self) -> tuple[str, ...]:
        """Return ``all`` and every tag, in the order of the prompts."""
        tags = dict.fromkeys(tag for prompt in self.prompts.values() for tag in prompt.tags)
        return (ALL, *tags)

    def covers(self, part: str, key: SampleKey) -> bool:
        """Say whether a sample belongs to a slice."""
        return part == ALL or part in self.prompts[key.prompt_id].tags


def metrics_for(names: Sequence[str], scored: Sequence[str]) -> tuple[MetricInfo, ...]:
    """Return the rows of the metrics asked for, then of those that the probes gave."""
    return tuple(METRICS[name] for name in dict.fromkeys([*names, *scored]))


def clip_scores(
    keys: Sequence[SampleKey], images: NDArray[np.float32], texts: NDArray[np.float32]
) -> tuple[Score, ...]:
    """Return the CLIP score of each image [n, d] with its text [n, d], by the judge's features."""
    return _scored(keys, CLIP_SCORE, clip_score(images, texts))


def r_precision_scores(
    keys: Sequence[SampleKey],
    images: NDArray[np.float32],
    texts: NDArray[np.float32],
    prompts: Sequence[str],
) -> tuple[Score, ...]:
    """Return 1 for each image [n, d] whose own text [n, d] is its nearest among the set's, else 0.

    With one text there is nothing to choose from: the images stay unscored, with the reason.
    """
    try:
        return _scored(keys, R_PRECISION, r_precision(images, texts, prompts))
    except InputError as error:
        return unscored(keys, R_PRECISION, str(error))


def memorised_scores(
    metric: str, generated: Features, training: NDArray[np.float32], fresh: NDArray[np.float32]
) -> tuple[Score, ...]:
    """Return 1 for each image that is closer to the training set than 99% of fresh real images.

    Unscored where the fresh pictures are too few, or some of them were trained on.

    Args:
        metric: its name, such as ``memorised_scenes``.
        generated: features of the arm's images.
        training: features [m, d] of pictures that the model was trained on.
        fresh: features [h, d] of pictures from the same source that it was not trained on.
    """
    try:
        return _scored(generated.keys, metric, memorised(generated.values, training, fresh))
    except InputError as error:
        return unscored(generated.keys, metric, str(error))


def unscored(keys: Sequence[SampleKey], metric: str, reason: str) -> tuple[Score, ...]:
    """Return that none of the images could be judged, and why."""
    return tuple(Score(key=key, metric=metric, value=None, reason=reason) for key in keys)


def _scored(
    keys: Sequence[SampleKey], metric: str, values: NDArray[np.float64]
) -> tuple[Score, ...]:
    return tuple(
        Score(key=key, metric=metric, value=float(value))
        for key, value in zip(keys, values, strict=True)
    )


def estimate(evidence: Evidence, measures: Measures) -> tuple[Estimate, ...]:
    """Return one arm's estimates: every metric over all prompts, and over each slice that has one.

    A metric without a value over all prompts is told with its reason; over a slice it is left out.
    """
    found = []
    for metric in measures.metrics:
        for part in measures.slices:
            number = _estimate(_cut(evidence, measures, part), metric, measures, part)
            if number is not None and (part == ALL or number.value is not None):
                found.append(number)
    return tuple(found)


def contributions(evidence: Evidence, measures: Measures) -> tuple[Contribution, ...]:
    """Return what each image adds to every metric over the whole set that has a value."""
    if evidence.features is None:
        return ()
    found: list[Contribution] = []
    for metric in measures.metrics:
        if _over_features(metric):
            reference = _reference(metric, measures, ALL)
            found += contributions_of(evidence.features, metric, reference=reference)
    return tuple(found)


def compare(
    evidence: Evidence, other: Evidence, measures: Measures, arms: Arms
) -> tuple[Comparison, ...]:
    """Return an arm's paired differences to its reference arm, where both have a value."""
    found = []
    for metric in measures.metrics:
        for part in measures.slices:
            pair = (_cut(evidence, measures, part), _cut(other, measures, part))
            number = _compare(*pair, metric, measures=measures, arms=arms, part=part)
            if number is not None and (part == ALL or number.difference is not None):
                found.append(number)
    return tuple(found)


def _estimate(
    evidence: Evidence, metric: MetricInfo, measures: Measures, part: str
) -> Estimate | None:
    if _over_features(metric):
        if evidence.features is None:
            return None
        reference = _reference(metric, measures, part)
        return estimate_features(evidence.features, metric, reference=reference, slice=part)
    scores = _of(metric, evidence)
    return estimate_scores(scores, metric, slice=part) if scores else None


def _compare(
    evidence: Evidence,
    other: Evidence,
    metric: MetricInfo,
    *,
    measures: Measures,
    arms: Arms,
    part: str,
) -> Comparison | None:
    if _over_features(metric):
        if evidence.features is None or other.features is None:
            return None
        return compare_features(
            evidence.features,
            other.features,
            metric,
            arms=arms,
            reference=_reference(metric, measures, part),
            slice=part,
        )
    first, second = _of(metric, evidence), _of(metric, other)
    if not first or not second:
        return None
    return compare_scores(first, second, metric, arms=arms, slice=part)


def _over_features(metric: MetricInfo) -> bool:
    return metric.needs.startswith("features")


def _of(metric: MetricInfo, evidence: Evidence) -> list[Score]:
    return [score for score in evidence.scores if score.metric == metric.name]


def _reference(metric: MetricInfo, measures: Measures, part: str) -> Features | None:
    if metric.needs != "features+reference" or measures.reference is None:
        return None
    return _rows(measures.reference, measures, part)


def _cut(evidence: Evidence, measures: Measures, part: str) -> Evidence:
    if part == ALL:
        return evidence
    features = None if evidence.features is None else _rows(evidence.features, measures, part)
    scores = tuple(score for score in evidence.scores if measures.covers(part, score.key))
    return Evidence(features=features, scores=scores)


def _rows(features: Features, measures: Measures, part: str) -> Features | None:
    if part == ALL:
        return features
    rows = [row for row, key in enumerate(features.keys) if measures.covers(part, key)]
    return features.pick(rows) if rows else None
