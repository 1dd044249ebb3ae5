"""GenEval's ``evaluation_metadata.jsonl``: a prompt, and what its picture has to show.

Each line is one object: ``tag`` (the task), ``prompt``, ``include`` (groups of ``class`` and
``count``, perhaps with ``color``, or ``position`` as [relation, index of an earlier group]) and
``exclude`` (``class`` and ``count``: fewer than so many). The task becomes ``facts["geneval"]``,
which `dalle2eval.probes.geneval.rules` judges by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dalle2eval.prompts.files.common import bounded, clean, load_json, prompt_of
from dalle2eval.records import InputError, Prompt
from dalle2eval.spelling import nearest

# GenEval's names of its tasks, and ours.
TASKS = {
    "single_object": "single_object",
    "two_object": "two_objects",
    "counting": "counting",
    "colors": "colours",
    "position": "position",
    "color_attr": "colour_attribution",
}
RELATIONS = ("left of", "right of", "above", "below")
MOST_GROUPS, MOST_OBJECTS = 16, 16


def read(text: str, path: Path) -> tuple[Prompt, ...]:
    """Read one task a line."""
    prompts = []
    for line, content in enumerate(text.split("\n"), 1):
        if content.strip():
            prompts.append(_prompt(load_json(content, path, line), line, f"{path}:{line}"))
    return bounded(prompts, path)


def _prompt(data: Any, line: int, place: str) -> Prompt:
    if not isinstance(data, Mapping):
        raise InputError(f"{place}: expected an object with tag, prompt and include")
    task = data.get("tag")
    if not isinstance(task, str) or task not in TASKS:
        raise InputError(f'{place}: no task "{str(task)[:40]}"{nearest(str(task), TASKS)}')
    text = clean(data.get("prompt"), place)
    facts = {
        "geneval": {
            "task": TASKS[task],
            "include": _groups(data.get("include"), place, "include"),
            "exclude": _groups(data.get("exclude", []), place, "exclude"),
        }
    }
    if not facts["geneval"]["include"]:
        raise InputError(f"{place}: include asks for nothing")
    bare = prompt_of(line, text, "geneval", (TASKS[task].replace("_", "-"),))
    return replace(bare, facts=facts)


def _groups(data: Any, place: str, field: str) -> list[dict[str, Any]]:
    if not isinstance(data, list) or len(data) > MOST_GROUPS:
        raise InputError(f"{place}: {field} is no list of up to {MOST_GROUPS} groups")
    groups: list[dict[str, Any]] = []
    for group in data:
        if not isinstance(group, Mapping):
            raise InputError(f"{place}: {field} holds {str(group)[:40]!r}; expected an object")
        read: dict[str, Any] = {
            "class": clean(group.get("class"), place, f"{field}: class"),
            "count": _count(group.get("count"), place, field),
        }
        if "color" in group:
            read["color"] = clean(group["color"], place, f"{field}: color")
        if "position" in group:
            read["position"] = _position(group["position"], len(groups), place)
        groups.append(read)
    return groups


def _count(value: Any, place: str, field: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_OBJECTS:
        allowed = f"a whole number from 1 to {MOST_OBJECTS}"
        raise InputError(f"{place}: {field}: count is {str(value)[:40]!r}; expected {allowed}")
    return value


def _position(value: Any, earlier: int, place: str) -> list[Any]:
    known = isinstance(value, list) and len(value) == 2 and value[0] in RELATIONS  # noqa: PLR2004
    if not known or isinstance(value[1], bool) or value[1] not in range(earlier):
        allowed = f"[{' | '.join(RELATIONS)}, index of an earlier group]"
        raise InputError(f"{place}: position is {str(value)[:40]!r}; expected {allowed}")
    return list(value)
