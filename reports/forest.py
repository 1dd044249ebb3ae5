"""The paired differences of each metric around zero, as places of dots and whiskers.

The page draws them in HTML, so that each keeps its number as text and fits a narrow screen.
"""

from __future__ import annotations

from dataclasses import dataclass

from reports.answer import SUPPORTING, claimed
from reports.number_text import style_for
from reports.run_record import RunRecord
from reports.tables import MARKS, Mark
from reports.wording import wording


@dataclass(frozen=True, slots=True, kw_only=True)
class Whisker:
    """One paired difference: places in percent of the bar's width."""

    arm: str
    index: int
    low: float
    mid: float
    high: float
    mark: Mark
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Forest:
    """The paired differences of one metric around zero, which lies at 50%."""

    metric: str
    title: str
    left: str
    right: str
    reference: str
    whiskers: tuple[Whisker, ...]


def forests(run: RunRecord) -> tuple[Forest, ...]:
    """Return the paired differences of every compared metric, those of the answer first."""
    metrics = dict.fromkeys((run.plan.primary_metric, *SUPPORTING, *run.metrics))
    found = (_forest(run, metric, ref) for metric in metrics for ref in _references(run))
    return tuple(forest for forest in found if forest is not None)


def _references(run: RunRecord) -> tuple[str, ...]:
    return tuple(dict.fromkeys(arm.reference for arm in run.arms if arm.reference is not None))


def _forest(run: RunRecord, metric: str, reference: str) -> Forest | None:
    style = style_for(run, metric)
    compared = [
        (i, c)
        for i, arm in enumerate(run.arms)
        if (c := run.comparison(arm.name, metric)) is not None and c.reference == reference
    ]
    reach = max((abs(v) for _, c in compared for v in (c.low, c.high) if v is not None), default=0)
    if reach == 0:
        return None
    ways = [e.higher_is_better for (_, m, _), e in run.estimates.items() if m == metric]
    left, right = _ends(ways[0] if ways else None)
    whiskers = tuple(
        Whisker(
            arm=c.arm,
            index=i,
            low=_percent(c.low, reach),
            mid=_percent(c.difference, reach),
            high=_percent(c.high, reach),
            mark=MARKS[claimed(c)],
            text=style.difference(c),
        )
        for i, c in compared
        if c.difference is not None and c.low is not None and c.high is not None
    )
    title = wording(metric).title
    return Forest(
        metric=metric, title=title, left=left, right=right, reference=reference, whiskers=whiskers
    )


def _ends(higher_is_better: bool | None) -> tuple[str, str]:  # noqa: FBT001 - Estimate's own field
    if higher_is_better is None:
        return "lower", "higher"
    return ("worse", "better") if higher_is_better else ("better", "worse")


def _percent(value: float, reach: float) -> float:
    return round(50 + 48 * value / reach, 2)  # 48: the longest bar ends 2% before the border
