"""Prompt sets that others publish, read from a file of the user's. One row of the table a format.

A file may come from anywhere: sizes are bounded, texts are checked, nothing is executed or
imported, and whatever is wrong is told with the file and the line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dalle2eval.prompts.files import compbench, geneval, json_sets, plain, tables
from dalle2eval.prompts.files.common import read_text
from dalle2eval.records import InputError, Prompt
from dalle2eval.spelling import nearest

__all__ = ["FORMATS", "Format", "read_prompt_file"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One format: its reader (text and path in, prompts out), and how a file is known to be it."""

    read: Callable[[str, Path], tuple[Prompt, ...]]
    known_by: Callable[[str, Path], bool]
    summary: str


# In the order in which a file is asked.
FORMATS: dict[str, Format] = {
    "partiprompts": Format(
        read=tables.partiprompts,
        known_by=lambda _, path: path.suffix.lower() == ".tsv",
        summary="TSV with the columns Prompt, Category, Challenge, Note (arXiv 2206.10789)",
    ),
    "drawbench": Format(
        read=tables.drawbench,
        known_by=lambda _, path: path.suffix.lower() == ".csv",
        summary="CSV with the columns Prompts, Category (arXiv 2205.11487)",
    ),
    "coco": Format(
        read=json_sets.coco,
        known_by=lambda text, path: path.suffix.lower() == ".json" and '"annotations"' in text,
        summary="captions JSON of COCO: annotations with image_id, id, caption (arXiv 1504.00325)",
    ),
    "drawbench-json": Format(
        read=json_sets.drawbench,
        known_by=lambda _, path: path.suffix.lower() == ".json",
        summary="JSON: a list of prompts, or of objects with prompt and category, or "
        "prompts by category",
    ),
    "geneval": Format(
        read=geneval.read,
        known_by=lambda _, path: path.suffix.lower() == ".jsonl",
        summary="evaluation_metadata.jsonl of GenEval: tag, include, exclude, prompt "
        "(arXiv 2310.11513)",
    ),
    "t2i-compbench": Format(
        read=compbench.read,
        known_by=lambda _, path: compbench.category_of(path) is not None,
        summary="a prompt file of T2I-CompBench, such as color_val.txt (arXiv 2307.06350)",
    ),
    "text": Format(
        read=plain.read,
        known_by=lambda _, path: path.suffix.lower() == ".txt",
        summary="one prompt a line; empty lines are passed over",
    ),
}


def read_prompt_file(path: str | Path, form: str | None = None) -> tuple[Prompt, ...]:
    """Return the prompts of a file, in its order.

    Args:
        path: of the file.
        form: one of `FORMATS`; by the file's name and content when None.

    Raises:
        InputError: there is no such file or format, it is too large, or something in it is wrong;
            the message names the line.
    """
    path = Path(path)
    if form is not None and form not in FORMATS:
        raise InputError(f'no format "{form[:40]}"{nearest(form, FORMATS)}')
    text = read_text(path)
    chosen = form or _detect(text, path)
    prompts = FORMATS[chosen].read(text, path)
    if not prompts:
        raise InputError(f"{path}: holds no prompt")
    return prompts


def _detect(text: str, path: Path) -> str:
    for name, form in FORMATS.items():
        if form.known_by(text, path):
            return name
    endings = ".tsv, .csv, .json, .jsonl, .txt"
    raise InputError(f"{path}: unknown kind of file; allowed: {endings}, or name the format")
