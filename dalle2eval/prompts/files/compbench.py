"""T2I-CompBench's prompt files, and which of their prompts boxes and colours can answer.

The benchmark (Huang et al. 2023, arXiv 2307.06350) grades bindings by a question-answering network
and positions by a detector. Here a detector grades what it can be asked in words:

    color, shape, texture   "a green bench and a blue bowl": both described things are there
    spatial                 "a dog on the left of a cat": both are there and stand so
    others, and what does not read so    carried as prompts, with nothing to grade

What is gradable is a task for `dalle2eval.probes.geneval.rules`: the described thing ("green
bench") is the class, so that the detector answers shapes and textures too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from dalle2eval.prompts.files.common import bounded, clean, prompt_of
from dalle2eval.records import Prompt

_NAME = re.compile(
    r"(?P<category>color|shape|texture|spatial|non_spatial|complex|complex_\w+|3d_spatial|numeracy)"
    r"(?:_(?:val|train))?(?:_(?:seen|unseen))?"
)
_THING = r"(?:an?|the) ([a-z][a-z -]*?[a-z])"
_PAIR = re.compile(rf"{_THING},? and {_THING}")
_SPATIAL = re.compile(rf"{_THING} (?:is )?on the (left|right|top|bottom)(?: side)? of {_THING}")
_RELATIONS = {"left": "left of", "right": "right of", "top": "above", "bottom": "below"}


def category_of(path: Path) -> str | None:
    """Return the category that a file's name tells, None when it is none of the benchmark's."""
    match = _NAME.fullmatch(path.stem.lower()) if path.suffix.lower() == ".txt" else None
    return match["category"] if match else None


def read(text: str, path: Path) -> tuple[Prompt, ...]:
    """Read one prompt a line; ``train`` files of the benchmark repeat prompts, which stay apart."""
    category = category_of(path) or "prompts"
    prompts = []
    for line, content in enumerate(text.split("\n"), 1):
        if not content.strip():
            continue
        prompt = prompt_of(
            line, clean(content, f"{path}:{line}"), "compbench", (category.replace("_", "-"),)
        )
        task = _TASKS[category](prompt.text) if category in _TASKS else None
        prompts.append(prompt if task is None else replace(prompt, facts={"geneval": task}))
    return bounded(prompts, path)


def _binding(text: str) -> dict[str, Any] | None:
    match = _PAIR.fullmatch(_bare(text))
    if match is None:
        return None
    include = [{"class": thing, "count": 1} for thing in match.groups()]
    return {"task": "binding", "include": include, "exclude": []}


def _spatial(text: str) -> dict[str, Any] | None:
    match = _SPATIAL.fullmatch(_bare(text))
    if match is None:
        return None
    first, side, second = match.groups()
    include = [
        {"class": second, "count": 1},
        {"class": first, "count": 1, "position": [_RELATIONS[side], 0]},
    ]
    return {"task": "position", "include": include, "exclude": []}


def _bare(text: str) -> str:
    return text.lower().rstrip(".")


_TASKS: dict[str, Callable[[str], dict[str, Any] | None]] = {
    "color": _binding,
    "shape": _binding,
    "texture": _binding,
    "spatial": _spatial,
}
