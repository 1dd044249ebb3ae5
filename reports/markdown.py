"""The report as Markdown, for a pull request or a terminal: the answer, the tables, the cautions.

Names and prompts are escaped, so that neither Markdown nor HTML in them takes effect.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from reports.answer import Answer, answer
from reports.cautions import cautions
from reports.direction import balanced
from reports.facts_text import shorten
from reports.flips import LOST, SHOWN, WON, ProbeFlips, compares_sides, find_flips
from reports.number_text import duration
from reports.people import PeopleStudy, people_studies
from reports.pictures import Thumbnails
from reports.run_record import RunRecord
from reports.svg import in_words
from reports.tables import ArmTable, Cell, Column, arm_tables
from reports.training_table import SAYS, training_tables

PLOTS = "plots.svg"  # beside the summary

# What starts markup inside a line: a link needs "](", an underscore stresses at a word's edge only.
_SPECIAL = re.compile(r"([\\`*#|~<&]|(?<=\])[(\[:]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")


def markdown(run: RunRecord) -> str:
    """Return the whole summary."""
    parts = [
        f"# {plain(run.plan.question)}",
        *_answer(answer(run)),
        *_plots(run),
        *(part for table in arm_tables(run) for part in _table(table)),
        *_trainings(run),
        *_flips(run),
        *(part for study in people_studies(run.folder) for part in _people(study)),
        "## Cautions, and what was left out",
        _list(cautions(run, Thumbnails(run.folder))) or "Nothing was left out.",
        "## Cost and provenance",
        _list(_facts(run)),
    ]
    return "\n\n".join(parts) + "\n"


def _answer(words: Answer) -> list[str]:
    parts = [f"**{plain(words.headline)}**", _list(words.supporting)]
    if words.finding:
        found = words.finding
        parts.append(
            f"> Finding: “{plain(found.says)}” ({plain(found.source)}). "
            f"This run: **{found.verdict}**; {plain(found.because)}."
        )
    return [part for part in (*parts, plain(words.explains)) if part]


def _plots(run: RunRecord) -> list[str]:
    """Return the drawing that lies beside the summary; nothing where there is nothing to draw."""
    told = in_words(run)
    return [f"![{plain(told)}]({PLOTS})"] if told else []


def _table(table: ArmTable) -> list[str]:
    head = ["arm", *(f"{plain(c.title)} {_arrow(c)}{_unit(c)}".rstrip() for c in table.columns)]
    rows = [[plain(row.name), *(_cell(cell) for cell in row.cells)] for row in table.rows]
    lines = [_line(head), _line(["---"] * len(head)), *map(_line, rows)]
    notes = [f"({letter}) {plain(text)}" for letter, text in table.footnotes]
    return [f"## {plain(table.title)}", "\n".join(lines), *notes]


def _trainings(run: RunRecord) -> list[str]:
    """Return what varied by training and what by sample; nothing where nothing was trained."""
    tables = training_tables(run)
    parts = ["## Training seeds", plain(SAYS)] if tables else []
    for table in tables:
        lines = [["arm", *table.columns], ["---"] * (len(table.columns) + 1), *table.rows]
        rows = "\n".join(_line([plain(cell) for cell in line]) for line in lines)
        parts += [f"**{plain(table.title)}** ({table.metric})", rows]
    return parts


def _flips(run: RunRecord) -> list[str]:
    """Return what changed sides in a comparison, a list a probe and direction."""
    if not compares_sides(run):
        return []
    parts = ["## Flips"]
    for found in find_flips(run):
        counts = f"{found.told(LOST)}, {found.told(WON)}, of {found.n} judged on both sides"
        parts.append(f"**{plain(found.title)}** ({found.metric}): {plain(counts)}.")
        parts += [
            f"{plain(found.told(way))}:\n\n{_list(lines)}"
            for way in (LOST, WON)
            if (lines := _flip_lines(run, found, way))
        ]
    return parts


def _flip_lines(run: RunRecord, found: ProbeFlips, way: str) -> list[str]:
    flips = found.of(way)
    lines = [
        f"{shorten(run.prompts[flip.key.prompt_id].text)} (seed {flip.key.seed}): "
        f"{flip.reference_read or 'not told'} → {flip.arm_read or 'not told'}"
        for flip in flips[:SHOWN]
    ]
    return [*lines, f"{len(flips) - SHOWN} more: summary.json"] if len(flips) > SHOWN else lines


def _arrow(column: Column) -> str:
    """Return the good direction; nothing where there is none."""
    return column.direction[0] if column.direction[0] in "↑↓" else ""


def _unit(column: Column) -> str:
    return f" ({plain(column.unit)})" if column.unit else ""


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    if not cell.value:
        return f"not known: {plain(cell.reason or '')}"
    value = f"**{cell.value}**" if cell.best else cell.value
    letters = "".join(f" ({letter})" for letter in cell.footnotes)
    parts = [f"{value}{letters} {cell.interval}, n {cell.n}"]
    if cell.unreadable:
        parts.append(cell.unreadable)
    if cell.difference:
        mark = cell.difference.mark
        parts.append(f"{mark.symbol} {mark.word} {cell.difference.text}".rstrip())
    return "<br>".join(parts)


def _people(study: PeopleStudy) -> list[str]:
    """Return what people preferred: a heading, a line a pair of arms, agreement and cautions."""
    lines = [*(preference.sentence for preference in study.preferences)]
    if len(study.arms) > 2:  # noqa: PLR2004 - two arms' strengths say nothing more
        strengths = ", ".join(f"{each.arm} {each.text}" for each in study.strengths)
        lines.append(f"Strengths in Elo points: {strengths}.")
    lines.append(f"Agreement of {study.voters} voters (alpha): {study.agreement_text}.")
    return [f"## What people preferred: {plain(study.asks)}", _list([*lines, *study.notes])]


def _facts(run: RunRecord) -> list[str]:
    stages = (f"{s.stage} {duration(s.seconds)} ({s.images} images)" for s in run.cost.stages)
    return [
        f"{duration(run.cost.total_s)} in all: {', '.join(stages) or 'no stage ran'}",
        f"suite {run.plan.suite}, fingerprint {run.plan.fingerprint}",
        "pictures, probe failures and the environment: report.html",
    ]


def _list(texts: Sequence[str]) -> str:
    return "\n".join(f"- {plain(text)}" for text in texts)


def plain(text: str) -> str:
    """Return a text on one line in which no Markdown or HTML takes effect."""
    return _SPECIAL.sub(r"\\\1", balanced(" ".join(text.split())))
