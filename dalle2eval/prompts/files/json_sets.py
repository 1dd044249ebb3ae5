"""Prompt sets as one JSON document: COCO's captions, and DrawBench as others pass it on.

The parser knows lines only while it reads, so what is wrong in a record is told by the record's
place in the document (``annotations[3]``); broken JSON is told with its line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dalle2eval.prompts.files.common import bounded, clean, load_json, prompt_of, tag
from dalle2eval.records import InputError, Prompt


def coco(text: str, path: Path) -> tuple[Prompt, ...]:
    """Read COCO's captions, one prompt a caption, ordered by picture and caption number."""
    data = load_json(text, path)
    found = data.get("annotations") if isinstance(data, Mapping) else None
    if not isinstance(found, list):
        raise InputError(f"{path}: expected an object with a list of annotations")
    captions: dict[tuple[int, int], str] = {}
    for index, entry in enumerate(found):
        place = f"{path}: annotations[{index}]"
        if not isinstance(entry, Mapping):
            raise InputError(f"{place}: expected an object with image_id, id and caption")
        key = (_whole(entry, "image_id", place), _whole(entry, "id", place))
        if key in captions:
            raise InputError(f"{place}: caption {key[1]} of picture {key[0]} is there twice")
        captions[key] = clean(entry.get("caption"), place, "caption")
    ordered = sorted(captions.items())
    return bounded(
        [prompt_of(number, caption, f"coco-{image}") for (image, number), caption in ordered], path
    )


def _whole(entry: Mapping[str, Any], name: str, place: str) -> int:
    value = entry.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError(f"{place}: {name} is {str(value)[:40]!r}; expected a whole number")
    return value


def drawbench(text: str, path: Path) -> tuple[Prompt, ...]:
    """Read a list of prompts, a list of objects with prompt and category, or lists by category."""
    prompts = [
        prompt_of(number, clean(prompt, place), "drawbench", tag(category, place))
        for number, (prompt, category, place) in enumerate(_entries(load_json(text, path), path), 1)
    ]
    return bounded(prompts, path)


def _entries(data: Any, path: Path) -> Iterator[tuple[Any, Any, str]]:
    """Yield prompt, category and place."""
    if isinstance(data, Mapping):
        for category, prompts in data.items():
            if not isinstance(prompts, list):
                raise InputError(f"{path}: {str(category)[:40]!r} holds no list of prompts")
            for index, prompt in enumerate(prompts):
                yield prompt, category, f"{path}: {str(category)[:40]}[{index}]"
        return
    if not isinstance(data, list):
        raise InputError(f"{path}: expected a list of prompts, or lists of prompts by category")
    for index, entry in enumerate(data):
        place = f"{path}: [{index}]"
        if isinstance(entry, Mapping):
            text = next((entry[n] for n in ("prompt", "Prompts", "Prompt") if n in entry), None)
            yield text, entry.get("category", entry.get("Category")), place
        else:
            yield entry, None, place
