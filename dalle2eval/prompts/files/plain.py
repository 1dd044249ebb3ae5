"""Prompts as plain text, one a line."""

from __future__ import annotations

from pathlib import Path

from dalle2eval.prompts.files.common import bounded, clean, prompt_of
from dalle2eval.records import Prompt


def read(text: str, path: Path) -> tuple[Prompt, ...]:
    """Read one prompt a line, named by its line."""
    prompts = [
        prompt_of(line, clean(content, f"{path}:{line}"), "line")
        for line, content in enumerate(text.split("\n"), 1)
        if content.strip()
    ]
    return bounded(prompts, path)
