"""The report as Markdown, for a pull request or a terminal: the answer, the tables, the cautions.

Names and prompts are escaped, so that neither Markdown nor HTML in them takes effect.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from reports.answer import Answer, answer
from reports.cautions import cautions
from reports.number_text import duration
from reports.pictures import Thumbnails
from reports.run_record import RunRecord
from reports.tables import ArmTable, Cell, Column, arm_tables

# What starts markup inside a line: a link needs "](", an underscore stresses at a word's edge only.
_SPECIAL = re.compile(r"([\\`*#|~<&]|(?<=\])[(\[:]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")


def markdown(run: RunRecord) -> str:
    """Return the whole summary."""
    parts = [
        f"# {_text(run.plan.question)}",
        *_answer(answer(run)),
        *(part for table in arm_tables(run) for part in _table(table)),
        "## Cautions, and what was left out",
        _list(cautions(run, Thumbnails(run.folder))) or "Nothing was left out.",
        "## Cost and provenance",
        _list(_facts(run)),
    ]
    return "\n\n".join(parts) + "\n"


def _answer(words: Answer) -> list[str]:
    parts = [f"**{_text(words.headline)}**", _list(words.supporting)]
    if words.finding:
        found = words.finding
        parts.append(
            f"> Finding: “{_text(found.says)}” ({_text(found.source)}). "
            f"This run: **{found.verdict}**; {_text(found.because)}."
        )
    return [part for part in (*parts, _text(words.explains)) if part]


def _table(table: ArmTable) -> list[str]:
    head = ["arm", *(f"{_text(c.title)} {_arrow(c)}{_unit(c)}".rstrip() for c in table.columns)]
    rows = [[_text(row.name), *(_cell(cell) for cell in row.cells)] for row in table.rows]
    lines = [_line(head), _line(["---"] * len(head)), *map(_line, rows)]
    notes = [f"({letter}) {_text(text)}" for letter, text in table.footnotes]
    return [f"## {_text(table.title)}", "\n".join(lines), *notes]


def _arrow(column: Column) -> str:
    """Return the good direction; nothing where there is none."""
    return column.direction[0] if column.direction[0] in "↑↓" else ""


def _unit(column: Column) -> str:
    return f" ({_text(column.unit)})" if column.unit else ""


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    if not cell.value:
        return f"not known: {_text(cell.reason or '')}"
    value = f"**{cell.value}**" if cell.best else cell.value
    letters = "".join(f" ({letter})" for letter in cell.footnotes)
    parts = [f"{value}{letters} {cell.interval}, n {cell.n}"]
    if cell.difference:
        mark = cell.difference.mark
        parts.append(f"{mark.symbol} {mark.word} {cell.difference.text}".rstrip())
    return "<br>".join(parts)


def _facts(run: RunRecord) -> list[str]:
    stages = (f"{s.stage} {duration(s.seconds)} ({s.images} images)" for s in run.cost.stages)
    return [
        f"{duration(run.cost.total_s)} in all: {', '.join(stages) or 'no stage ran'}",
        f"suite {run.plan.suite}, fingerprint {run.plan.fingerprint}",
        "pictures, probe failures and the environment: report.html",
    ]


def _list(texts: Sequence[str]) -> str:
    return "\n".join(f"- {_text(text)}" for text in texts)


def _text(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
