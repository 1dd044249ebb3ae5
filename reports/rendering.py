"""Render a run folder: read it, check it, and write each summary beside it, whole or not at all."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path

from dalle2eval.records import InputError
from dalle2eval.store import write_atomic
from reports.flat_rows import csv_text, parquet_bytes
from reports.html import html
from reports.latex import latex
from reports.markdown import PLOTS, markdown
from reports.reading import read_run
from reports.run_record import RunRecord
from reports.svg import svg

DEFAULT_FORMATS = ("html", "md", "svg", "csv", "tex")


def render(folder: str | Path, formats: Sequence[str] = DEFAULT_FORMATS) -> dict[str, Path]:
    """Write the report of a finished run into its folder and return the files by format.

    Formats: ``html`` (report.html), ``svg`` (plots.svg), ``md`` (which shows plots.svg), ``csv``,
    ``tex`` and ``parquet`` (summary.*).
    ``json`` is the runner's own summary.json: checked, returned, not written.

    Raises:
        InputError: a format is unknown, or the folder is incomplete, damaged or cannot be written.
    """
    for name in formats:
        if name not in (*FORMATS, "json"):
            raise InputError(_unknown(name))
    run = read_run(folder)
    made = {}
    shown = ["svg"] if "md" in formats else []  # what the Markdown shows
    for name in dict.fromkeys([*formats, *shown]):
        if name == "json":
            made[name] = run.folder / "summary.json"
            continue
        file_name, make = FORMATS[name]
        made[name] = run.folder / file_name
        write_atomic(made[name], make(run))
    return made


def _unknown(name: str) -> str:
    allowed = (*FORMATS, "json")
    near = difflib.get_close_matches(name, allowed, n=1)
    hint = f'; did you mean "{near[0]}"?' if near else ""
    return f'report format "{name}" is unknown (allowed: {", ".join(allowed)}){hint}'


def _encoded(make: Callable[[RunRecord], str]) -> Callable[[RunRecord], bytes]:
    # A lone surrogate in a hostile prompt cannot be encoded; it becomes a question mark.
    return lambda run: make(run).encode("utf-8", "replace")


FORMATS: dict[str, tuple[str, Callable[[RunRecord], bytes]]] = {
    "html": ("report.html", _encoded(html)),
    "md": ("summary.md", _encoded(markdown)),
    "svg": (PLOTS, _encoded(svg)),
    "csv": ("summary.csv", _encoded(csv_text)),
    "tex": ("summary.tex", _encoded(latex)),
    "parquet": ("summary.parquet", parquet_bytes),
}
