"""The numbers of a comparison: each arm's estimates on what is shared, and paired differences.

Scores of images are compared prompt by prompt and seed by seed, over all prompts and over each tag;
metrics over sets by what each image contributed when it was measured (`statistics.contributions`),
over the whole set only. Over all arms and metrics the p-values are corrected after Benjamini and
Hochberg: a comparison explores, where the gate (Holm) decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from dalle2eval.comparing.matching import Shared
from dalle2eval.comparing.sides import ArmPair, Side
from dalle2eval.gate.baseline import yardstick
from dalle2eval.gate.measured import read_contributions
from dalle2eval.metrics import METRICS, MetricInfo
from dalle2eval.records import (
    ALL,
    Comparison,
    Estimate,
    InputError,
    NotComparable,
    SampleKey,
    Score,
)
from dalle2eval.statistics import (
    Arms,
    benjamini_hochberg,
    compare_contributions,
    compare_scores,
    estimate_scores,
)
from dalle2eval.statistics.contributions import Measured
from dalle2eval.statistics.paired import SIGNIFICANCE

NO_DIFFERENCE = "no difference found"
Contributions = Mapping[tuple[str, str], Mapping[SampleKey, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One side's numbers on what is shared.

    Attributes:
        scores: of the shared samples, by (arm, metric).
        contributions: of every image, by (arm, metric); empty where the run kept none.
    """

    side: Side
    scores: Mapping[tuple[str, str], Sequence[Score]]
    contributions: Contributions

    def estimate(self, arm: str, metric: str) -> Estimate | None:
        """Return the run's own estimate over all of its prompts."""
        return self.side.run.estimates.get((arm, metric, ALL))


def gather(side: Side, shared: Shared) -> Evidence:
    """Return a side's numbers.

    Raises:
        InputError: its contributions are damaged.
    """
    keys = shared.keys
    scores: dict[tuple[str, str], list[Score]] = {}
    for arm, score in side.run.all_scores():
        if score.key in keys:
            scores.setdefault((arm, score.metric), []).append(score)
    path = side.run.folder / "contributions.parquet"
    kept = read_contributions(path) if path.exists() else {}
    return Evidence(side=side, scores=scores, contributions=kept)


def shared_metrics(a: Side, b: Side) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the metrics of both runs in A's order, and those that are left out."""
    both = [m for m in a.run.metrics if m in b.run.metrics and m in METRICS]
    every = dict.fromkeys([*a.run.metrics, *b.run.metrics])
    return tuple(both), tuple(metric for metric in every if metric not in both)


def estimates_of(found: Evidence, arm: str, metric: str, shared: Shared) -> list[Estimate]:
    """Return an arm's estimates of one metric, over all shared prompts and over each tag."""
    own = [e for (a, m, _), e in found.side.run.estimates.items() if (a, m) == (arm, metric)]
    if shared.whole(found.side):
        return own
    if over_set(metric):
        note = "over the whole run, not only over what is compared"
        return [
            replace(e, note="; ".join(filter(None, (e.note, note)))) for e in own if e.slice == ALL
        ]
    scores, made = found.scores.get((arm, metric), ()), []
    for part, some in _slices(scores, shared):
        estimate = estimate_scores(some, METRICS[metric], slice=part)
        if part == ALL or estimate.value is not None:
            known = found.estimate(arm, metric)
            made.append(replace(estimate, extractor=known.extractor if known else None))
    return made


def comparisons_of(
    a: Evidence, b: Evidence, pair: ArmPair, metric: str, shared: Shared
) -> list[Comparison]:
    """Return B minus A by one metric: over all shared prompts, then over each tag that has one."""
    arms = Arms(arm=b.side.label(pair.b), reference=a.side.label(pair.a))
    try:
        _check_judges(a, b, pair, metric)
        if over_set(metric):
            return [_over_set(a, b, pair, metric, arms)]
        return _over_scores(a, b, pair, METRICS[metric], arms=arms, shared=shared)
    except InputError as error:
        return [_not_compared(arms, metric, str(error))]


def corrected(rows: Sequence[Comparison]) -> list[Comparison]:
    """Return the rows with p-values corrected, and no claim where it does not survive.

    The rows over all prompts are one family, those over tags another.
    """
    result = list(rows)
    for whole in (True, False):
        tested = [
            i for i, r in enumerate(rows) if r.p_value is not None and (r.slice == ALL) == whole
        ]
        adjusted = benjamini_hochberg([rows[i].p_value or 0.0 for i in tested])
        for i, p_value in zip(tested, adjusted, strict=True):
            verdict = rows[i].verdict if p_value < SIGNIFICANCE else NO_DIFFERENCE
            result[i] = replace(rows[i], p_value=float(p_value), verdict=verdict)
    return result


def over_set(metric: str) -> bool:
    """Say whether a metric is of a whole set of features, not of single images."""
    return METRICS[metric].needs.startswith("features")


def _check_judges(a: Evidence, b: Evidence, pair: ArmPair, metric: str) -> None:
    ours, theirs = a.estimate(pair.a, metric), b.estimate(pair.b, metric)
    if ours is None or theirs is None:
        raise NotComparable(f"{'A' if ours is None else 'B'} did not measure it")
    if ours.extractor != theirs.extractor:
        raise NotComparable(f"judged by {ours.extractor} in A, by {theirs.extractor} in B")
    by_reference = METRICS[metric].needs == "features+reference"
    if by_reference and yardstick(a.side.run) != yardstick(b.side.run):
        raise NotComparable("held against other reference images")


def _over_set(a: Evidence, b: Evidence, pair: ArmPair, metric: str, arms: Arms) -> Comparison:
    first, second = _measured(a, pair.a, metric), _measured(b, pair.b, metric)
    return compare_contributions(second, first, METRICS[metric], arms=arms)


def _measured(found: Evidence, arm: str, metric: str) -> Measured:
    estimate = found.estimate(arm, metric)
    if estimate is None or estimate.value is None:
        reason = estimate.reason if estimate else "not measured"
        raise NotComparable(f"{found.side.letter} does not know it: {reason}")
    first = found.contributions.get((arm, metric), {})
    if not first:
        raise NotComparable(f"{found.side.letter} kept no contributions of single images")
    return Measured(value=estimate.value, extractor=estimate.extractor, first=first)


def _over_scores(
    a: Evidence,
    b: Evidence,
    pair: ArmPair,
    metric: MetricInfo,
    *,
    arms: Arms,
    shared: Shared,
) -> list[Comparison]:
    ours, theirs = (
        dict(_slices(found.scores.get((arm, metric.name), ()), shared))
        for found, arm in ((a, pair.a), (b, pair.b))
    )
    made = [compare_scores(theirs[ALL], ours[ALL], metric, arms=arms)]
    for part in [part for part in ours if part != ALL and part in theirs]:
        with suppress(NotComparable):  # a tag of which the runs judged different images
            made.append(compare_scores(theirs[part], ours[part], metric, arms=arms, slice=part))
    return [row for row in made if row.slice == ALL or row.difference is not None]


def _slices(scores: Sequence[Score], shared: Shared) -> list[tuple[str, list[Score]]]:
    tags = {prompt.id: prompt.tags for prompt in shared.prompts}
    parts: dict[str, list[Score]] = {ALL: list(scores)}
    for score in scores:
        for tag in tags[score.key.prompt_id]:
            parts.setdefault(tag, []).append(score)
    return list(parts.items())


def _not_compared(arms: Arms, metric: str, reason: str) -> Comparison:
    return Comparison(
        arm=arms.arm,
        reference=arms.reference,
        metric=metric,
        difference=None,
        low=None,
        high=None,
        n_pairs=0,
        method="none",
        verdict="not compared",
        reason=reason,
    )
