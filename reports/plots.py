"""The geometry of the plots: where each point, interval bar and tick lies in a drawing.

The drawings are inline SVG and HTML whose colours are the page's own variables, so that they follow
the dark and the light scheme, carry real text and cost no plotting library at rendering time.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dalle2eval.records import ALL, Estimate
from reports.number_text import MINUS, style_for
from reports.run_record import RunRecord
from reports.wording import direction, wording

WIDTH, HEIGHT = 360, 270
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 14, 42  # room for the tick labels and titles
DODGE = 7  # pixels between arms that share an x
GUIDANCE = "guidance_scale"
RECALL = "recall_"  # Kynkäänniemi et al. 2019, of any extractor


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One tick: its place in pixels and its label."""

    at: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A linear axis from ``low`` to ``high`` over pixels ``start`` to ``end``."""

    title: str
    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return the pixel of a value."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    @property
    def ticks(self) -> tuple[Tick, ...]:
        """Return four to eight ticks at round values."""
        step = _round_step((self.high - self.low) / 6)
        decimals = max(0, -math.floor(math.log10(step)))
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        values = [i * step for i in range(first, last + 1)]
        return tuple(
            Tick(at=self.at(v), label=f"{v:.{decimals}f}".replace("-", MINUS)) for v in values
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One arm in a plot: its place, the ends of its interval bars, and what it says in words."""

    arm: str
    index: int
    x: float
    y: float
    x_bar: tuple[float, float] | None
    y_bar: tuple[float, float]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """One drawing; ``curve`` joins the arms that differ only in their guidance scale."""

    title: str
    x: Axis
    y: Axis
    points: tuple[Point, ...]
    curve: tuple[tuple[float, float], ...]

    @property
    def text(self) -> str:
        """Return the drawing in words, for those who cannot see it."""
        return f"{self.title}. " + "; ".join(point.text for point in self.points) + "."


def _round_step(rough: float) -> float:
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)


def _axis(title: str, values: Iterable[float], start: float, end: float) -> Axis:
    found = list(values)
    low, high = min(found), max(found)
    margin = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    return Axis(title=title, low=low - margin, high=high + margin, start=start, end=end)


def guidance_plots(run: RunRecord) -> tuple[Plot, ...]:
    """Return fidelity, alignment and, where measured, recall against guidance, and a trade-off.

    Recall is what guidance pays with: pictures grow better and more alike.
    """
    primary = run.plan.primary_metric
    recall = [metric for metric in run.metrics if metric.startswith(RECALL)]
    known = {m: _known(run, m) for m in dict.fromkeys((primary, "clip_score", *recall))}
    plots = [_against_guidance(run, metric, found) for metric, found in known.items()]
    if primary != "clip_score":
        both = [arm for arm in known[primary] if arm in known["clip_score"]]
        plots.append(_trade_off(run, primary, both) if both else None)
    return tuple(plot for plot in plots if plot is not None)


def _known(run: RunRecord, metric: str) -> dict[str, Estimate]:
    found = {arm.name: run.estimates.get((arm.name, metric, ALL)) for arm in run.arms}
    return {arm: e for arm, e in found.items() if e is not None and e.value is not None}


def _guidance(run: RunRecord) -> dict[str, float]:
    found = {arm.name: arm.settings.get(GUIDANCE) for arm in run.arms}
    return {arm: float(g) for arm, g in found.items() if isinstance(g, int | float)}


def guidance_curve(run: RunRecord) -> tuple[str, ...]:
    """Return the largest set of arms that differ in nothing but guidance, by rising guidance."""
    scales = _guidance(run)
    alike: dict[str, list[str]] = {}
    for arm in run.arms:
        if arm.name in scales:
            rest = {k: v for k, v in arm.settings.items() if k != GUIDANCE}
            alike.setdefault(json.dumps(rest, sort_keys=True, default=str), []).append(arm.name)
    longest = max(alike.values(), key=len, default=[])
    if len({scales[arm] for arm in longest}) < 2:  # noqa: PLR2004 - one point is no curve
        return ()
    return tuple(sorted(longest, key=scales.__getitem__))


def _metric_axis(metric: str, found: Iterable[Estimate], start: float, end: float) -> Axis:
    numbers = list(found)
    title = f"{wording(metric).title} ({direction(numbers[0].higher_is_better)})"
    return _axis(title, [v for e in numbers for v in (e.low, e.high) if v is not None], start, end)


def _against_guidance(run: RunRecord, metric: str, found: dict[str, Estimate]) -> Plot | None:
    scales = {arm: scale for arm, scale in _guidance(run).items() if arm in found}
    if len(set(scales.values())) < 2:  # noqa: PLR2004 - nothing to draw against
        return None
    x = _axis("guidance scale", scales.values(), LEFT, WIDTH - RIGHT)
    y = _metric_axis(metric, (found[arm] for arm in scales), HEIGHT - BOTTOM, TOP)
    curve = [arm for arm in guidance_curve(run) if arm in scales]
    points = {}
    for arm, scale in scales.items():
        where = x.at(scale) + _dodge(arm, scales, curve)
        points[arm] = _point(run, metric, arm, where, y)
    title = f"{wording(metric).title} against guidance"
    return _plot(title, x, y, points=points, curve=curve)


def _dodge(arm: str, scales: dict[str, float], curve: Sequence[str]) -> float:
    """Move arms that share a guidance scale apart; the arm of the curve stays in its place."""
    if arm in curve:
        return 0.0
    beside = [a for a in scales if scales[a] == scales[arm] and a not in curve]
    sides = [(-1) ** i * (i // 2 + 1) for i in range(len(beside))]  # 1, -1, 2, -2
    return DODGE * float(sides[beside.index(arm)])


def _point(run: RunRecord, metric: str, arm: str, x: float, y: Axis) -> Point:
    estimate = run.estimates[arm, metric, ALL]
    value, low, high = _numbers(estimate)
    return Point(
        arm=arm,
        index=[a.name for a in run.arms].index(arm),
        x=x,
        y=y.at(value),
        x_bar=None,
        y_bar=(y.at(low), y.at(high)),
        text=f"{arm}: {_in_words(run, metric, estimate)}",
    )


def _numbers(estimate: Estimate) -> tuple[float, float, float]:
    """Return value, low and high of an estimate that is known (records guarantees all three)."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        raise ValueError(f"{estimate.metric} is not known: {estimate.reason}")
    return estimate.value, estimate.low, estimate.high


def _in_words(run: RunRecord, metric: str, estimate: Estimate) -> str:
    style = style_for(run, metric)
    value, low, high = _numbers(estimate)
    return f"{wording(metric).title} {style.value(value)} {style.interval(low, high)}"


def _trade_off(run: RunRecord, primary: str, arms: Sequence[str]) -> Plot:
    across = {arm: run.estimates[arm, "clip_score", ALL] for arm in arms}
    upward = {arm: run.estimates[arm, primary, ALL] for arm in arms}
    x = _metric_axis("clip_score", across.values(), LEFT, WIDTH - RIGHT)
    y = _metric_axis(primary, upward.values(), HEIGHT - BOTTOM, TOP)
    points = {}
    for i, arm in enumerate(arm.name for arm in run.arms):
        if arm not in across:
            continue
        value, low, high = _numbers(across[arm])
        base = _point(run, primary, arm, x.at(value), y)
        points[arm] = Point(
            arm=arm,
            index=i,
            x=base.x,
            y=base.y,
            x_bar=(x.at(low), x.at(high)),
            y_bar=base.y_bar,
            text=f"{base.text}, {_in_words(run, 'clip_score', across[arm])}",
        )
    curve = [arm for arm in guidance_curve(run) if arm in points]
    title = f"{wording(primary).title} against CLIP score"
    return _plot(title, x, y, points=points, curve=curve)


def _plot(title: str, x: Axis, y: Axis, *, points: dict[str, Point], curve: Sequence[str]) -> Plot:
    line = tuple((points[arm].x, points[arm].y) for arm in curve)
    return Plot(title=title, x=x, y=y, points=tuple(points.values()), curve=line)
