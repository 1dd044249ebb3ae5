"""Prompt sets as tables: PartiPrompts (TSV) and DrawBench (CSV)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from dalle2eval.prompts.files.common import bounded, clean, prompt_of, tag
from dalle2eval.records import InputError, Prompt

Row = dict[str, str | None]


def partiprompts(text: str, path: Path) -> tuple[Prompt, ...]:
    """Read PartiPrompts: a header, then Prompt, Category, Challenge and Note between tabs."""
    prompts = []
    for number, (line, row) in enumerate(_rows(text, path, "Prompt", tabs=True), 1):
        place = f"{path}:{line}"
        tags = (*tag(row.get("Category"), place), *tag(row.get("Challenge"), place))
        prompts.append(prompt_of(number, clean(row["Prompt"], place), "parti", tags))
    return bounded(prompts, path)


def drawbench(text: str, path: Path) -> tuple[Prompt, ...]:
    """Read DrawBench: a header, then Prompts and Category; ``Prompt`` is taken as well."""
    name = "Prompts" if "Prompts" in text.split("\n", 1)[0] else "Prompt"
    prompts = []
    for number, (line, row) in enumerate(_rows(text, path, name, tabs=False), 1):
        place = f"{path}:{line}"
        tags = tag(row.get("Category"), place)
        prompts.append(prompt_of(number, clean(row[name], place), "drawbench", tags))
    return bounded(prompts, path)


def _rows(text: str, path: Path, needed: str, *, tabs: bool) -> Iterator[tuple[int, Row]]:
    """Yield the rows that are not empty, each with its line.

    Quotes mean nothing between tabs: PartiPrompts has prompts that begin with one.
    """
    kind = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if tabs else {"strict": True}
    reader = csv.DictReader(io.StringIO(text, newline=""), **kind)  # type: ignore[arg-type]
    try:
        if needed not in (reader.fieldnames or ()):
            raise InputError(f"{path}:1: no column {needed}; the first line names the columns")
        for row in reader:
            line = reader.line_num
            if None in row:
                raise InputError(f"{path}:{line}: more cells than columns")
            if any(row.values()):
                yield line, row
    except csv.Error as error:
        raise InputError(f"{path}:{reader.reader.line_num}: not a table ({error})") from None
