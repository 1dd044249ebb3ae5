"""The verdict of each metric, and of the whole gate.

Degradation is baseline against current in the metric's good direction, positive when worse. With
its paired 95% interval [low, high] over prompts and Holm's correction over all gating metrics:

    regression     low > 0, significant after Holm, and above the absolute and the relative floor
    pass           high < margin: a degradation as large as the margin is ruled out; or every image
                   has the numbers that it had, which is to say that it is the same picture
    inconclusive   neither; the row says what this n can find and how many prompts would decide

Anything that is not the same experiment (prompts, seeds, extractor, size, a lost metric or image)
is refused, never compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from dalle2eval.gate.measured import ArmMeasured, MetricMeasured
from dalle2eval.gate.policy import Floor, floor_for, gates
from dalle2eval.metrics import METRICS
from dalle2eval.records import Comparison, InputError, NotComparable, SampleKey, Score
from dalle2eval.statistics import (
    Arms,
    compare_contributions,
    compare_scores,
    holm,
    minimum_detectable_effect,
    prompts_needed,
    spread_of,
)
from dalle2eval.statistics.contributions import Measured
from dalle2eval.statistics.paired import SIGNIFICANCE

Verdict = Literal["regression", "pass", "improved", "inconclusive", "not comparable"]
ROUNDED = 1e-5  # of the largest value: a baseline keeps six digits


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRow:
    """One metric of one arm.

    Attributes:
        gating: whether it can fail the build.
        baseline, current: the two values.
        degradation, low, high: how much worse, with its 95% interval; negative when better.
        p_value: two-sided; corrected over the gating metrics once the rows are put together.
        margin: the degradation that is let pass.
        detectable: the smallest degradation that this n finds in 80% of the cases.
        prompts_needed: how many prompts would find a degradation of the margin; None when known.
        reason: why it is not comparable.
    """

    arm: str
    metric: str
    gating: bool
    baseline: float | None
    current: float | None
    verdict: Verdict
    degradation: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    margin: float | None = None
    detectable: float | None = None
    prompts_needed: int | None = None
    reason: str | None = None


def judge_arm(
    baseline: ArmMeasured, current: ArmMeasured, floors: Mapping[str, Floor]
) -> list[GateRow]:
    """Return a row for every metric of the baseline, not yet corrected for their number.

    Raises:
        NotComparable: the arms were not asked for the same prompts and seeds.
    """
    odd = baseline.keys ^ current.keys
    if odd:
        key, side = min(odd), "baseline" if min(odd) in baseline.keys else "run"
        raise NotComparable(
            f"arm {current.name}: {len(odd)} images stand on one side only, "
            f"first {key.prompt_id!r} seed {key.seed} in the {side}"
        )
    rows = [
        _judge_metric(metric, current, floors.get(name) or floor_for(metric.info))
        for name, metric in baseline.metrics.items()
    ]
    if not unchanged(baseline, current):
        return rows
    return [replace(row, verdict="pass", low=row.degradation, high=row.degradation)
            if row.degradation is not None else row for row in rows]  # fmt: skip


def unchanged(baseline: ArmMeasured, current: ArmMeasured) -> bool:
    """Say whether the pictures are those of the baseline, as far as what was measured can tell.

    Every image's every number is equal, and one of them at least is no pass or fail: outcomes that
    happen to be equal do not prove that nothing changed, equal CLIP scores of all images do.
    """
    known = [metric for metric in baseline.metrics.values() if metric.by_image]
    return any(metric.info.estimator != "proportion" for metric in known) and all(
        _equal(metric, current.metrics.get(metric.name)) for metric in known
    )


def _equal(base: MetricMeasured, current: MetricMeasured | None) -> bool:
    if current is None or current.extractor != base.extractor:
        return False
    if current.by_image.keys() != base.by_image.keys():
        return False
    size = max(map(abs, base.by_image.values()))
    return all(abs(v - current.by_image[k]) <= ROUNDED * size for k, v in base.by_image.items())


def corrected(rows: Sequence[GateRow]) -> list[GateRow]:
    """Return the rows with Holm's p-values over the gating metrics and the verdicts from them."""
    tested = [i for i, row in enumerate(rows) if row.gating and row.p_value is not None]
    adjusted = holm([rows[i].p_value or 0.0 for i in tested])
    result = list(rows)
    for i, p_value in zip(tested, adjusted, strict=True):
        row = replace(rows[i], p_value=float(p_value))
        lost = row.verdict == "regression" and p_value >= SIGNIFICANCE
        result[i] = replace(row, verdict="inconclusive") if lost else row
    return result


def _judge_metric(base: MetricMeasured, arm: ArmMeasured, floor: Floor) -> GateRow:
    current = arm.metrics.get(base.name)
    row = GateRow(
        arm=arm.name,
        metric=base.name,
        gating=gates(base.info),
        baseline=base.value,
        current=None if current is None else current.value,
        verdict="not comparable",
    )
    if base.value is None:  # it could not be known when it was accepted: nothing to lose
        return replace(row, gating=False, reason=base.reason)
    try:
        comparison = _compare(base, current, Arms(arm=arm.name, reference="baseline"))
    except InputError as error:
        return replace(row, reason=str(error))
    if comparison.difference is None:
        return replace(row, reason=comparison.reason)
    return _decided(row, comparison, floor, num_prompts=len({k.prompt_id for k in base.by_image}))


def _compare(base: MetricMeasured, current: MetricMeasured | None, arms: Arms) -> Comparison:
    if current is None:
        raise NotComparable("the run does not measure it any more")
    if current.value is None:
        raise NotComparable(f"the run cannot tell it: {current.reason}")
    lost = base.by_image.keys() - current.by_image.keys()
    if lost:
        key = min(lost)
        raise NotComparable(
            f"{len(lost)} images that the baseline scored have no score now, "
            f"first {key.prompt_id!r} seed {key.seed}"
        )
    if current.over_set:
        return compare_contributions(_measured(current), _measured(base), current.info, arms=arms)
    if current.extractor != base.extractor:
        raise NotComparable(f"judged by {current.extractor!r}, the baseline by {base.extractor!r}")
    scores, reference = _scores(current), _scores(base)
    return compare_scores(scores, reference, current.info, arms=arms)


def _measured(metric: MetricMeasured) -> Measured:
    assert metric.value is not None
    return Measured(value=metric.value, extractor=metric.extractor, first=metric.by_image)


def _scores(metric: MetricMeasured) -> list[Score]:
    by_key: Mapping[SampleKey, float] = metric.by_image
    return [Score(key=key, metric=metric.name, value=by_key[key]) for key in sorted(by_key)]


def _decided(row: GateRow, found: Comparison, floor: Floor, *, num_prompts: int) -> GateRow:
    """Return the row with its numbers turned into the metric's bad direction."""
    sign = -1.0 if METRICS[row.metric].higher_is_better else 1.0
    ends = (sign * (found.low or 0.0), sign * (found.high or 0.0))
    judged = replace(
        row,
        degradation=sign * (found.difference or 0.0),
        low=min(ends),
        high=max(ends),
        p_value=found.p_value,
        margin=floor.margin(row.baseline or 0.0),
    )
    return _with_power(replace(judged, verdict=_verdict(judged, floor)), found, num_prompts)


def _verdict(row: GateRow, floor: Floor) -> Verdict:
    degradation, low, high = row.degradation or 0.0, row.low or 0.0, row.high or 0.0
    relative = floor.relative * abs(row.baseline or 0.0)
    if low > 0 and degradation > floor.absolute and degradation > relative:
        return "regression"
    if high < 0:
        return "improved"
    return "pass" if high <= (row.margin or 0.0) else "inconclusive"


def _with_power(row: GateRow, found: Comparison, num_prompts: int) -> GateRow:
    """Add what this n can find; identical images leave no spread to ask about."""
    spread = spread_of(found, num_prompts)
    if spread == 0:
        return row
    return replace(
        row,
        detectable=minimum_detectable_effect(spread, num_prompts),
        prompts_needed=prompts_needed(spread, row.margin) if row.margin else None,
    )
