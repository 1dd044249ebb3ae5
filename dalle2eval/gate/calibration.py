"""How often the gate cries wolf: A/A gates over other seeds of one model, and floors from them.

The repeats of a suite differ in nothing but their seeds, so every regression among them is a false
alarm. Other seeds are the hardest case of no change: a rewrite that leaves the quality alone but
moves all the noise. Each repeat is held against each other one, both ways round, with the gate's
own verdict (paired by prompt, Holm, floors).

The pairs share runs. Of K runs a pair's verdict tells at least what K/2 independent gates would
(Hoeffding 1948: the variance of a U-statistic of order two is at most 2/K of one term's), so the
interval is Wilson's at n = K/2: wide, never too narrow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np

from dalle2eval.gate.measured import ArmMeasured, MetricMeasured
from dalle2eval.gate.policy import Floor, floor_for
from dalle2eval.gate.verdicts import GateRow, corrected, judge_arm
from dalle2eval.metrics import METRICS
from dalle2eval.records import InputError, SampleKey
from dalle2eval.statistics import wilson_interval

QUANTILE = 0.95  # of the absolute A/A differences: the floor lies above all but one in twenty
ALARMS = ("regression", "not comparable")
Repeat = Mapping[str, ArmMeasured]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRate:
    """How many of the gates gave an alarm, with its 95% interval."""

    alarms: int
    gates: int
    low: float
    high: float

    @property
    def rate(self) -> float:
        """Return the share."""
        return self.alarms / self.gates


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What K repeats showed.

    Attributes:
        before: with the floors in force; ``after``: with those found, on the very same pairs.
        floors: by metric; ``absolute`` is what A/A pairs differ by, but never below the policy's (a
            handful of repeats may not move at all); ``relative`` is the policy's own.
        by_metric: alarms of each gating metric before, over all arms and pairs.
    """

    repeats: int
    before: AlarmRate
    after: AlarmRate
    floors: Mapping[str, Floor]
    by_metric: Mapping[str, int]


def by_rank(arms: Repeat) -> dict[str, ArmMeasured]:
    """Return a repeat with each seed replaced by its place, so that repeats can be paired."""
    return {name: _by_rank(arm) for name, arm in arms.items()}


def calibrated(repeats: Sequence[Repeat], floors: Mapping[str, Floor] | None = None) -> Calibration:
    """Return what the repeats of a suite show.

    Args:
        repeats: of one suite and model, keyed by rank of the seed (`by_rank`); two or more.
        floors: in force now, by metric; the policy's for those that are missing.

    Raises:
        InputError: there are fewer than two repeats.
        NotComparable: they are not of the same prompts.
    """
    if len(repeats) < 2:  # noqa: PLR2004
        raise InputError(f"--repeats {len(repeats)}: an A/A pair needs two repeats or more")
    now = dict(floors or {})
    gates = [_judged(*pair, now) for pair in permutations(repeats, 2)]
    found = _floors(gates)
    again = [_judged(*pair, found) for pair in permutations(repeats, 2)]
    alarms = [row.metric for rows in gates for row in rows if _alarms(row)]
    return Calibration(
        repeats=len(repeats),
        before=_rate(gates, len(repeats)),
        after=_rate(again, len(repeats)),
        floors=found,
        by_metric={name: alarms.count(name) for name in dict.fromkeys(alarms)},
    )


def _judged(base: Repeat, current: Repeat, floors: Mapping[str, Floor]) -> list[GateRow]:
    rows = [row for name in base for row in judge_arm(base[name], current[name], floors)]
    return corrected(rows)


def _alarms(row: GateRow) -> bool:
    return row.gating and row.verdict in ALARMS


def _rate(gates: Sequence[Sequence[GateRow]], repeats: int) -> AlarmRate:
    alarms = sum(any(map(_alarms, rows)) for rows in gates)
    independent = repeats / 2
    interval = wilson_interval(alarms / len(gates) * independent, independent)
    return AlarmRate(alarms=alarms, gates=len(gates), low=interval.low, high=interval.high)


def _floors(gates: Sequence[Sequence[GateRow]]) -> dict[str, Floor]:
    moved: dict[str, list[float]] = {}
    for rows in gates:
        for row in rows:
            if row.gating and row.degradation is not None:
                moved.setdefault(row.metric, []).append(abs(row.degradation))
    found = {}
    for metric, values in sorted(moved.items()):
        policy = floor_for(METRICS[metric])
        seen = float(f"{np.quantile(values, QUANTILE):.3g}")
        found[metric] = replace(policy, absolute=max(seen, policy.absolute))
    return found


def _by_rank(arm: ArmMeasured) -> ArmMeasured:
    seeds = sorted({key.seed for key in arm.keys})
    rank = {seed: place for place, seed in enumerate(seeds)}

    def moved(key: SampleKey) -> SampleKey:
        return SampleKey(prompt_id=key.prompt_id, seed=rank[key.seed])

    def of(metric: MetricMeasured) -> MetricMeasured:
        return replace(metric, by_image={moved(k): v for k, v in metric.by_image.items()})

    return ArmMeasured(
        name=arm.name,
        keys=frozenset(map(moved, arm.keys)),
        metrics={name: of(metric) for name, metric in arm.metrics.items()},
    )
