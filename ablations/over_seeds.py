"""The last unit of an arm that was trained several times: its mean over the training seeds.

Its estimates and comparisons are those of the arm; those of one training are beside them under the
name of the repeat. What varies by training and what by sample is told apart
(`dalle2eval.statistics.training_seeds`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from ablations.judging import Pair
from ablations.tasks import source_hash
from ablations.units import Unit, Values
from ablations.workshop import Workshop
from dalle2eval.metrics import METRICS, MetricInfo
from dalle2eval.records import ALL, Comparison, Estimate, SampleKey, to_json
from dalle2eval.statistics.comparisons import Arms, Label
from dalle2eval.statistics.intervals import clipped, wilson_interval
from dalle2eval.statistics.paired import newcombe_interval
from dalle2eval.statistics.training_seeds import OverSeeds, Trained, over_seeds

METHOD = "training-seeds"
NO_DERIVATIVE = "over training seeds only metrics are known to which each image contributes"
MEAN_S = 0.1  # yardstick

Judged = Mapping[str, Any]  # the value of a judging unit


def mean_unit(pair: Pair, own: tuple[Unit, ...], other: tuple[Unit, ...]) -> Unit:
    """Return the unit that makes the numbers of an arm over its trainings.

    Args:
        pair: the names of the arm and of its reference arm.
        own: the judging units of its repeats, in the order of the training seeds.
        other: those of its reference arm's; empty where it has none.
    """
    return Unit(
        stage="training seeds",
        kind="json",
        samples=sum(unit.samples for unit in own),
        seconds=MEAN_S,
        identity={
            "code": source_hash("dalle2eval.statistics", "dalle2eval.metrics", __name__),
            "pair": [pair.arm, pair.reference],
        },
        perform=partial(_mean, pair),
        inputs={"own": own, "other": other},
    )


def _mean(pair: Pair, _workshop: Workshop, values: Values) -> dict[str, Any]:
    own, other = values["own"], values["other"]
    known = [row for row in own[0]["estimates"] if row["slice"] == ALL]
    rows, estimates, comparisons = [], [], []
    for row in known:
        metric = METRICS[row["metric"]]
        found = _over([_trained(judged, metric) for judged in own])
        estimates.append(to_json(_estimate(metric, row, found)))
        rows.append(_told(metric, own, found))
        if other and pair.reference is not None:
            pairs = [_difference(a, b, metric) for a, b in zip(own, other, strict=True)]
            arms = Arms(arm=pair.arm, reference=pair.reference)
            comparisons.append(to_json(_comparison(metric, arms, _over(pairs))))
    return {
        "scores": [],
        "contributions": [],
        "estimates": estimates,
        "comparisons": comparisons,
        "training": rows,
    }


def _over(trained: Sequence[Trained | str]) -> OverSeeds | str:
    missing = [one for one in trained if isinstance(one, str)]
    return missing[0] if missing else over_seeds([t for t in trained if isinstance(t, Trained)])


def _trained(judged: Judged, metric: MetricInfo) -> Trained | str:
    """Return a metric of one training with what each image contributes, or why it is not known."""
    estimate = next(
        row for row in judged["estimates"] if (row["metric"], row["slice"]) == (metric.name, ALL)
    )
    if estimate["value"] is None:
        return str(estimate["reason"])
    if metric.needs.startswith("features"):
        first = dict(_keyed(judged["contributions"], metric.name))
        return Trained(value=estimate["value"], first=first) if first else NO_DERIVATIVE
    return _centred(dict(_keyed(judged["scores"], metric.name)))


def _centred(scores: Mapping[SampleKey, float]) -> Trained:
    mean = sum(scores.values()) / len(scores)
    return Trained(value=mean, first={key: value - mean for key, value in scores.items()})


def _keyed(rows: Sequence[Mapping[str, Any]], metric: str) -> Iterator[tuple[SampleKey, float]]:
    for row in rows:
        if row["metric"] == metric and row["value"] is not None:
            yield SampleKey(prompt_id=row["prompt_id"], seed=row["seed"]), row["value"]


def _difference(own: Judged, other: Judged, metric: MetricInfo) -> Trained | str:
    """Return the difference of two trainings from one seed over the pictures that both have."""
    first, second = _trained(own, metric), _trained(other, metric)
    if isinstance(first, str) or isinstance(second, str):
        return first if isinstance(first, str) else str(second)
    shared = sorted(first.first.keys() & second.first.keys())
    if not shared:
        return "the two arms have no scored picture of one prompt and seed in common"
    apart = {key: first.first[key] - second.first[key] for key in shared}
    if metric.needs.startswith("features"):
        return Trained(value=first.value - second.value, first=apart)
    # Of the means over what is shared, which may be fewer than what each has.
    return _centred({key: value + first.value - second.value for key, value in apart.items()})


def _estimate(metric: MetricInfo, row: Mapping[str, Any], found: OverSeeds | str) -> Estimate:
    same = {name: row[name] for name in ("metric", "higher_is_better", "extractor", "unit")}
    if isinstance(found, str):
        return Estimate(**same, value=None, low=None, high=None, n=0, method=METHOD, reason=found)
    interval = clipped(found.interval, metric.bounds(found.n))
    if metric.estimator == "proportion" and interval.low == interval.high:
        # All passed, or none: the prompts stand for n, as in `intervals`.
        interval = wilson_interval(found.value * found.num_prompts, found.num_prompts)
    return Estimate(
        **same,
        value=found.value,
        low=interval.low,
        high=interval.high,
        n=found.n,
        method=METHOD,
    )


def _comparison(metric: MetricInfo, arms: Arms, found: OverSeeds | str) -> Comparison:
    label = Label(
        metric=metric, arms=arms, slice=ALL, n_pairs=0 if isinstance(found, str) else found.n
    )
    if isinstance(found, str):
        return label.unknown(found)
    interval = found.interval
    if metric.estimator == "proportion" and interval.low == interval.high == 0:
        interval = newcombe_interval(0, 0, 0, found.num_prompts)  # no prompt tells them apart
    return label.known(found.value, interval, found.p_value, METHOD)


def _told(metric: MetricInfo, own: Sequence[Judged], found: OverSeeds | str) -> dict[str, Any]:
    """Return what ``summary.json`` tells of a metric over the trainings of an arm."""
    values = [
        next(
            row["value"]
            for row in judged["estimates"]
            if (row["metric"], row["slice"]) == (metric.name, ALL)
        )
        for judged in own
    ]
    known = None if isinstance(found, str) else found
    return {
        "metric": metric.name,
        "values": values,
        "mean": known.value if known else None,
        "variance_over_training_seeds": known.between if known else None,
        "variance_over_samples": known.within if known else None,
        "reason": found if isinstance(found, str) else None,
    }
