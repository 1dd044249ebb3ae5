"""What was measured of each arm of a run, in the small form that a gate and a baseline need.

Of every metric: its value, its n, and one number an image (its score, or what it contributed to
a metric over the whole set), so that another run can be held against it in pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dalle2eval.metrics import METRICS, MetricInfo
from dalle2eval.records import ALL, Contribution, Estimate, InputError, SampleKey
from reports.files import build, read_rows
from reports.run_record import RunRecord

COLUMNS = ("arm", "prompt_id", "seed", "metric", "value")


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricMeasured:
    """One metric of one arm.

    Attributes:
        value: None where it could not be known, with a ``reason``.
        extractor: the network and its weights hash, where there is one.
        by_image: the score of each image that has one, or its contribution to the set's value.
    """

    name: str
    value: float | None
    n: int
    extractor: str | None
    reason: str | None
    by_image: Mapping[SampleKey, float]

    @property
    def info(self) -> MetricInfo:
        """Return the metric's row in the table of metrics."""
        return METRICS[self.name]

    @property
    def over_set(self) -> bool:
        """Say whether ``by_image`` holds contributions (a metric over features), not scores."""
        return self.info.needs.startswith("features")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmMeasured:
    """One arm: the images that were asked for, and its metrics by name."""

    name: str
    keys: frozenset[SampleKey]
    metrics: Mapping[str, MetricMeasured]


def measured_arms(run: RunRecord) -> dict[str, ArmMeasured]:
    """Return what a finished run measured, by arm.

    Raises:
        InputError: ``contributions.parquet`` is missing, damaged or of a metric that is unknown.
    """
    contributed = read_contributions(run.folder / "contributions.parquet")
    keys = frozenset(
        SampleKey(prompt_id=prompt.id, seed=seed)
        for prompt in run.plan.prompts
        for seed in run.plan.seeds
    )
    scored = _scores_by_metric(run)
    return {
        arm.name: ArmMeasured(
            name=arm.name,
            keys=keys,
            metrics={
                metric: _metric(
                    run.estimates[arm.name, metric, ALL],
                    scored.get((arm.name, metric)) or contributed.get((arm.name, metric), {}),
                )
                for metric in run.metrics
                if (arm.name, metric, ALL) in run.estimates
            },
        )
        for arm in run.arms
    }


def _metric(estimate: Estimate, by_image: Mapping[SampleKey, float]) -> MetricMeasured:
    if estimate.metric not in METRICS:
        raise InputError(f"metric {estimate.metric!r} is not known to this release")
    return MetricMeasured(
        name=estimate.metric,
        value=estimate.value,
        n=estimate.n,
        extractor=estimate.extractor,
        reason=estimate.reason,
        by_image=by_image,
    )


def _scores_by_metric(run: RunRecord) -> dict[tuple[str, str], dict[SampleKey, float]]:
    found: dict[tuple[str, str], dict[SampleKey, float]] = {}
    for arm, score in run.all_scores():
        if score.value is not None:
            found.setdefault((arm, score.metric), {})[score.key] = score.value
    return found


def read_contributions(path: Path) -> dict[tuple[str, str], dict[SampleKey, float]]:
    """Return what each image contributed to the metrics over sets, by (arm, metric).

    Raises:
        InputError: the file is missing or damaged.
    """
    found: dict[tuple[str, str], dict[SampleKey, float]] = {}
    for row in read_rows(path, COLUMNS):
        key = build(path, SampleKey, {"prompt_id": row["prompt_id"], "seed": row["seed"]})
        own = build(
            path, Contribution, {"key": key, "metric": row["metric"], "value": row["value"]}
        )
        found.setdefault((row["arm"], own.metric), {})[key] = own.value
    return found
