"""What was asked and what a grader saw, in a few words.

The details of a score are plain JSON data (docs/design/001-run-folder.md): scene facts or a text.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from dalle2eval.records import Score
from reports.direction import balanced

COUNTS = ("no", "one", "two", "three", "four")
MAX_LENGTH = 160


def asked_and_read(score: Score) -> tuple[str, str]:
    """Return what a score's prompt asked for and what its grader read, each in words or empty."""
    detail = score.detail or {}
    asked = describe(detail["asked"]) if detail.get("asked") is not None else ""
    if "read" not in detail:
        return asked, ""
    return asked, describe(detail["read"])


def describe(seen: Any) -> str:
    """Put scene facts, a read text or nothing into words."""
    if seen is None:
        return "nothing readable"
    if isinstance(seen, str):
        return f"“{shorten(seen)}”" if seen else "no text"
    if isinstance(seen, Mapping) and isinstance(seen.get("objects"), list):
        return _scene(seen)
    return shorten(json.dumps(seen, ensure_ascii=False))


def _scene(facts: Mapping[str, Any]) -> str:
    parts = [_objects(name, count) for name, count in Counter(map(_name, facts["objects"])).items()]
    relation = facts.get("relation")
    if relation and len(facts["objects"]) == 2:  # noqa: PLR2004 - a relation joins two
        first, second = (_objects(_name(item), 1) for item in facts["objects"])
        parts = [f"{first} {relation} {second}"]
    if facts.get("word"):
        colour = facts.get("word_colour")
        parts.append(f"“{facts['word']}”" + (f" in {colour}" if colour else ""))
    return shorten(", ".join(parts) or "nothing")


def _name(item: Any) -> str:
    if not isinstance(item, Mapping):
        return str(item)
    words = (item.get("size"), item.get("colour"), item.get("shape"))
    return " ".join(str(word) for word in words if word)


def _objects(name: str, count: int) -> str:
    if count == 1:
        return name
    many = COUNTS[count] if count < len(COUNTS) else str(count)
    return f"{many} × {name}"  # noqa: RUF001 - a multiplication sign


def shorten(text: str, length: int = MAX_LENGTH) -> str:
    """Cut a text that is too long for a caption, and say so with an ellipsis.

    Its direction marks end with it, because captions stand inside sentences.
    """
    flat = " ".join(text.split())
    return balanced(flat if len(flat) <= length else flat[: length - 1].rstrip() + "…")
