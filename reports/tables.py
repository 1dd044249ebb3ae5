"""The tables of arms: every number with its interval, its n and its paired difference.

One view for all formats: HTML, Markdown and LaTeX print the same cells and cannot disagree.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dalle2eval.records import ALL, ArmSpec, Comparison, Estimate
from reports.answer import CANNOT_TELL, claimed
from reports.number_text import NumberStyle, style_for
from reports.run_record import RunRecord
from reports.wording import PROBES, direction, probe_of, wording


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A verdict as a symbol and a word, never colour alone; ``kind`` names it for style sheets."""

    kind: str
    symbol: str
    word: str


READABLE = "composition.readable"  # says of itself how many were

MARKS = {
    "better": Mark(kind="better", symbol="▲", word="better"),
    "worse": Mark(kind="worse", symbol="▼", word="worse"),
    "higher": Mark(kind="other", symbol="↑", word="higher"),
    "lower": Mark(kind="other", symbol="↓", word="lower"),
    CANNOT_TELL: Mark(kind="same", symbol="≈", word="no difference found"),
    None: Mark(kind="none", symbol="·", word="not compared"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """An arm against its reference arm, as text."""

    mark: Mark
    text: str
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One number as text; ``value`` is empty when it is not known, and then ``reason`` says why.

    Attributes:
        number: the value itself, to sort by and to draw; None when it is not known.
        footnotes: letters of the table's footnotes.
        unreadable: how many of its pictures the reader could not read; they count as wrong.
    """

    value: str = ""
    interval: str = ""
    reason: str | None = None
    n: int = 0
    num_unscored: int = 0
    best: bool = False
    difference: Difference | None = None
    footnotes: tuple[str, ...] = ()
    number: float | None = None
    unreadable: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One metric of a table; ``n`` is the count that all its cells share, else None."""

    metric: str
    title: str
    says: str
    direction: str
    unit: str
    n: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One arm (or one task of a breakdown) and its cells, in the order of the columns."""

    name: str
    detail: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmTable:
    """Arms in rows, metrics in columns."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    footnotes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """One pass rate by task: tasks in rows, arms in columns."""

    metric: str
    title: str
    says: str
    arms: tuple[str, ...]
    rows: tuple[Row, ...]


class _Footnotes:
    """Gives each different text one letter."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def letter(self, text: str) -> str:
        return self.texts.setdefault(text, _letter(len(self.texts)))


def _letter(index: int) -> str:
    more, rest = divmod(index, len(string.ascii_lowercase))
    return (_letter(more - 1) if more else "") + string.ascii_lowercase[rest]


def arm_tables(run: RunRecord) -> tuple[ArmTable, ...]:
    """Return one table for the metrics of whole arms and one for each probe."""
    groups: dict[str, list[str]] = {}
    for metric in run.metrics:
        probe = probe_of(metric)
        title = PROBES.get(probe, probe) if probe else "Fidelity, alignment and diversity"
        groups.setdefault(title, []).append(metric)
    return tuple(_arm_table(run, title, metrics) for title, metrics in groups.items())


def _arm_table(run: RunRecord, title: str, metrics: Sequence[str]) -> ArmTable:
    notes = _Footnotes()
    columns = [_column_cells(run, metric, notes) for metric in metrics]
    rows = tuple(
        Row(
            name=arm.name,
            detail=_detail(run, arm),
            cells=tuple(cells[i] for cells in columns),
        )
        for i, arm in enumerate(run.arms)
    )
    return ArmTable(
        title=title,
        columns=tuple(_column(run, metric) for metric in metrics),
        rows=rows,
        footnotes=tuple((letter, text) for text, letter in notes.texts.items()),
    )


def _detail(run: RunRecord, arm: ArmSpec) -> str:
    """Return what an arm changes, or that it is (or has lost) a reference arm."""
    lost = run.references_not_run.get(arm.name)
    if lost is not None:
        alone = f"no comparison: its reference arm {lost} was not run"
        return "; ".join(text for text in (changes_text(arm.changes), alone) if text)
    return changes_text(arm.changes) if arm.reference else "reference arm"


def changes_text(changes: Mapping[str, Any]) -> str:
    """Return the one thing that an arm changes, such as ``guidance_scale = 1.0``."""
    return ", ".join(f"{name} = {value}" for name, value in changes.items())


def _estimates(run: RunRecord, metric: str) -> list[Estimate | None]:
    return [run.estimates.get((arm.name, metric, ALL)) for arm in run.arms]


def _column(run: RunRecord, metric: str) -> Column:
    found = [e for e in _estimates(run, metric) if e is not None]
    counts = {e.n for e in found if e.value is not None}
    words = wording(metric)
    return Column(
        metric=metric,
        title=words.title,
        says=words.says,
        direction=direction(found[0].higher_is_better if found else None),
        unit=next((e.unit for e in found if e.unit and not words.share), ""),
        n=counts.pop() if len(counts) == 1 else None,
    )


def _column_cells(run: RunRecord, metric: str, notes: _Footnotes) -> list[Cell]:
    style = style_for(run, metric)
    estimates = _estimates(run, metric)
    best = _best(e for e in estimates if e is not None)
    cells = []
    for arm, estimate in zip(run.arms, estimates, strict=True):
        compared = _difference(run.comparison(arm.name, metric), style)
        cell = _cell(estimate, style, best=best, difference=compared, notes=notes)
        cells.append(replace(cell, unreadable=_unreadable(run, arm.name, cell, metric)))
    return cells


def _unreadable(run: RunRecord, arm: str, cell: Cell, metric: str) -> str:
    """Return the share of unreadable pictures in a pass rate that they lower; else nothing."""
    count = run.unreadable.get((arm, metric), 0)
    if not count or not cell.n or metric == READABLE:
        return ""
    return f"{count} of {cell.n} unreadable ({count / cell.n:.0%})"


def _best(estimates: Iterable[Estimate]) -> float | None:
    known = [e for e in estimates if e.value is not None and e.higher_is_better is not None]
    values = [e.value for e in known if e.value is not None]
    if len(set(values)) < 2:  # noqa: PLR2004 - one value is not the best of anything
        return None
    return max(values) if known[0].higher_is_better else min(values)


def _cell(
    estimate: Estimate | None,
    style: NumberStyle,
    *,
    best: float | None = None,
    difference: Difference | None = None,
    notes: _Footnotes | None = None,
) -> Cell:
    if estimate is None:
        return Cell(reason="not measured")
    if estimate.value is None:
        return Cell(reason=estimate.reason, num_unscored=estimate.num_unscored)
    texts = (estimate.note, difference.reason if difference else None)
    letters = tuple(notes.letter(text) for text in texts if text and notes is not None)
    return Cell(
        value=style.value(estimate.value),
        interval=style.interval(estimate.low, estimate.high),
        n=estimate.n,
        num_unscored=estimate.num_unscored,
        best=estimate.value == best,
        difference=difference,
        footnotes=letters,
        number=estimate.value,
    )


def _difference(comparison: Comparison | None, style: NumberStyle) -> Difference | None:
    if comparison is None:
        return None
    mark = MARKS[claimed(comparison)]
    if comparison.difference is None:
        return Difference(mark=mark, text="", reason=comparison.reason)
    return Difference(mark=mark, text=style.difference(comparison), reason=None)


def breakdowns(run: RunRecord) -> tuple[Breakdown, ...]:
    """Return each probe's pass rates by task, where a run has slices."""
    metrics = [m for m in run.metrics if wording(m).share and len(run.slices(m)) > 0]
    return tuple(_breakdown(run, metric) for metric in metrics)


def _breakdown(run: RunRecord, metric: str) -> Breakdown:
    style, words = style_for(run, metric), wording(metric)
    rows = []
    whole = [run.estimates.get((arm.name, metric, ALL)) for arm in run.arms]
    for part in (ALL, *run.slices(metric)):
        found = [run.estimates.get((arm.name, metric, part)) for arm in run.arms]
        if part != ALL and _counts(found) == _counts(whole):
            continue  # the slice is all that the probe asked: the same numbers again
        name = "all prompts" if part == ALL else part
        rows.append(Row(name=name, detail="", cells=tuple(_cell(e, style) for e in found)))
    return Breakdown(
        metric=metric,
        title=words.title,
        says=words.says,
        arms=tuple(arm.name for arm in run.arms),
        rows=tuple(rows),
    )


def _counts(estimates: Sequence[Estimate | None]) -> list[tuple[int, int] | None]:
    return [(e.n, e.num_unscored) if e is not None else None for e in estimates]
