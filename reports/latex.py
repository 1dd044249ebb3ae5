"""The tables of arms in LaTeX (booktabs), to be input into a paper; every name is escaped."""

from __future__ import annotations

from reports.number_text import MINUS
from reports.run_record import RunRecord
from reports.tables import ArmTable, Cell, Column, arm_tables

_ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    MINUS: "$-$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "…": r"\ldots{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\texttt{\char34}",
    "“": "``", "”": "''",
}  # fmt: skip
_MARKS = {
    "better": r"$^{\blacktriangle}$", "worse": r"$^{\blacktriangledown}$", "same": r"$^{\approx}$",
    "other": r"$^{\neq}$", "none": "",
}  # fmt: skip
HEAD = (
    "% Needs \\usepackage{booktabs,amssymb}. 95\\% intervals in brackets; against the\n"
    "% reference arm on the same prompts and seeds: triangle up better, down worse,\n"
    "% \\approx no difference found, \\neq different where neither way is better.\n"
)


def latex(run: RunRecord) -> str:
    """Return one ``table`` environment for each group of metrics."""
    return HEAD + "\n".join(_table(run, table) for table in arm_tables(run))


def _table(run: RunRecord, table: ArmTable) -> str:
    rows = [
        " & ".join([_start(row.name), *(_cell(cell) for cell in row.cells)]) + r" \\"
        for row in table.rows
    ]
    notes = "".join(
        rf" \textsuperscript{{{mark}}}{escape(text)}." for mark, text in table.footnotes
    )
    return "\n".join(
        [
            r"\begin{table}[t]",
            r"\centering\small",
            rf"\begin{{tabular}}{{l{'c' * len(table.columns)}}}",
            r"\toprule",
            " & ".join(["Arm", *map(_head, table.columns)]) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            rf"\caption{{{escape(table.title)}. {escape(run.plan.question)}{notes}}}",
            r"\end{table}",
            "",
        ]
    )


def _start(name: str) -> str:
    r"""Return what a row begins with: ``\\`` and ``\midrule`` take a ``[`` or ``*`` for theirs."""
    return ("{}" if name.lstrip().startswith(("[", "*")) else "") + escape(name)


def _head(column: Column) -> str:
    arrow = escape(column.direction[0]) if column.direction[0] in "↑↓" else ""
    unit = f" ({escape(column.unit)})" if column.unit else ""
    size = f" ($n={column.n}$)" if column.n else ""
    return f"{escape(column.title)} {arrow}{unit}{size}"


def _cell(cell: Cell) -> str:
    if not cell.value:
        return "not known"
    value = escape(cell.value)
    bold = rf"\textbf{{{value}}}" if cell.best else value
    mark = _MARKS[cell.difference.mark.kind] if cell.difference else ""
    notes = "".join(rf"\textsuperscript{{{letter}}}" for letter in cell.footnotes)
    return rf"{bold}{mark}{notes} {{\scriptsize {escape(cell.interval)}}}"


def escape(text: str) -> str:
    """Return text that LaTeX prints as it is."""
    return "".join(_ESCAPES.get(letter, letter) for letter in " ".join(text.split()))
