"""What the readers of prompt files share: bounds, checks, and what a text tells of itself."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dalle2eval.records import ALL, SHOWCASE, InputError, Prompt, check_text

MAX_BYTES = 256 * 1024 * 1024  # COCO's captions of 2014 are 65 MB
MAX_PROMPTS = 1_000_000
MAX_TEXT = 10_000  # characters: a longer one is a damaged file, not a prompt
MAX_TAG = 60  # characters
SHOWN = 60  # characters of a foreign text in a message
# What a prompt asks to be written: between double quotes, or between single ones that stand free.
_QUOTED = re.compile("\"([^\"]+)\"|“([^”]+)”|(?<!\\w)'([^']+)'(?!\\w)")


def read_text(path: Path) -> str:
    """Return a file's text.

    Raises:
        InputError: it cannot be read, is too large, or is not UTF-8.
    """
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise InputError(f"{path} is no file")
        if size > MAX_BYTES:
            raise InputError(f"{path}: {size} bytes, at most {MAX_BYTES} for a prompt file")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def clean(value: Any, place: str, what: str = "the prompt") -> str:
    """Return a prompt's text without white space at its ends.

    Args:
        value: as the file holds it.
        place: file and line, for the message.
        what: the field, for the message.

    Raises:
        InputError: it is no text, empty, too long, or holds control characters.
    """
    if not isinstance(value, str):
        raise InputError(f"{place}: {what} is {str(value)[:SHOWN]!r}; expected text")
    text = check_text(value, f"{place}: {what}").strip()
    if not text:
        raise InputError(f"{place}: {what} is empty")
    if len(text) > MAX_TEXT:
        raise InputError(f"{place}: {what} has {len(text)} characters, at most {MAX_TEXT}")
    for character in text:
        if unicodedata.category(character) == "Cc" and character not in "\n\t":
            raise InputError(f"{place}: {what} holds the control character {character!r}")
    return " ".join(text.split())


def tag(text: Any, place: str) -> tuple[str, ...]:
    """Return a category as a tag: lower-case letters, digits and hyphens; nothing for an empty one.

    >>> tag("Writing & Symbols", "here")
    ('writing-symbols',)
    """
    if text is None or text == "":
        return ()
    words = re.findall(r"[a-z0-9]+", clean(text, place, "the category").lower())
    slug = "-".join(words)[:MAX_TAG]
    # A slice is named by its tag, and `all` is every prompt's.
    return () if slug in ("", ALL, SHOWCASE) else (slug,)


def prompt_of(number: int, text: str, prefix: str, tags: Iterable[str] = ()) -> Prompt:
    """Return a prompt with what can be told from its text: what it asks to be written, if anything.

    Args:
        number: from 1; it names the prompt within its file.
        text: cleaned.
        prefix: of the id.
        tags: slices.
    """
    quoted = ["".join(groups) for groups in _QUOTED.findall(text)]
    facts, own = None, list(tags)
    if len(quoted) == 1 and any(letter.isalnum() for letter in quoted[0]):
        facts = {"word": quoted[0].strip()}
        own += ["word", *(["sentence"] if " " in quoted[0].strip() else [])]
    return Prompt(
        id=f"{prefix}-{number:05d}", text=text, tags=tuple(dict.fromkeys(own)), facts=facts
    )


def bounded(prompts: list[Prompt], path: Path) -> tuple[Prompt, ...]:
    """Return the prompts.

    Raises:
        InputError: there are too many.
    """
    if len(prompts) > MAX_PROMPTS:
        raise InputError(f"{path}: {len(prompts)} prompts, at most {MAX_PROMPTS}")
    return tuple(prompts)


def load_json(text: str, path: Path, first_line: int = 1) -> Any:
    """Return JSON data.

    Raises:
        InputError: it is not JSON; names the line and column.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        raise InputError(f"{path}:{line}:{error.colno}: not JSON ({error.msg})") from None
    except (ValueError, RecursionError):
        raise InputError(
            f"{path}:{first_line}: JSON that is nested or written too wildly"
        ) from None
