"""Prompt sets: what a suite asks its models to draw, by name or from a file.

One row of the table a set of ours; a file of others' prompts is named ``file:PATH``, or
``file:FORMAT:PATH`` where its name does not tell the format.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dalle2eval.prompts.files import FORMATS, read_prompt_file
from dalle2eval.prompts.scene_prompts import quick, showcase, single_seen, words
from dalle2eval.prompts.signs import NUM_SIGNS, signs
from dalle2eval.records import InputError, Prompt
from dalle2eval.spelling import nearest

__all__ = ["FORMATS", "PROMPT_SETS", "PromptSet", "file_name", "load_prompts", "read_prompt_file"]

FILE = "file:"  # before the path of a set that is a file


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSet:
    """One set: its first n prompts, how many it has at most, and how many when nobody says."""

    take: Callable[[int], tuple[Prompt, ...]]
    largest: int
    default: int
    summary: str


PROMPT_SETS: dict[str, PromptSet] = {
    "scenes/quick": PromptSet(
        take=quick,
        largest=400,
        default=160,
        summary="single objects, counts, pairs, relations and words; half held out of training",
    ),
    "scenes/showcase": PromptSet(
        take=showcase, largest=4, default=4, summary="four prompts to look at, at every size"
    ),
    "scenes/single-seen": PromptSet(
        take=single_seen,
        largest=400,
        default=42,
        summary="one object in a colour and shape that training draws together: a known class",
    ),
    "scenes/words": PromptSet(
        take=words,
        largest=320,
        default=40,
        summary="words of two to six letters; half held out of training",
    ),
    "text/signs": PromptSet(
        take=signs,
        largest=NUM_SIGNS,
        default=NUM_SIGNS,
        summary="signs with words and short sentences in three cases, for models of photographs",
    ),
}


def file_name(path: str, form: str | None = None) -> str:
    """Return the name of the set that a file of prompts is.

    Raises:
        InputError: there is no such format.
    """
    if form is not None and form not in FORMATS:
        raise InputError(f'no format "{form[:40]}"{nearest(form, FORMATS)}')
    return f"{FILE}{form}:{path}" if form else f"{FILE}{path}"


def load_prompts(name: str, n: int | None = None) -> tuple[Prompt, ...]:
    """Return n prompts of a set, always the same ones; of a file its first ones.

    Raises:
        InputError: there is no such set, or it has not so many prompts, or the file cannot be read.
    """
    if name.startswith(FILE):
        return _first(read_prompt_file(*_file_and_format(name)), n, name)
    if name not in PROMPT_SETS:
        raise InputError(f'no prompt set "{name[:80]}"{nearest(name, PROMPT_SETS)}')
    chosen = PROMPT_SETS[name]
    number = chosen.default if n is None else n
    if not 1 <= number <= chosen.largest:
        raise InputError(f"{name} has 1 to {chosen.largest} prompts; {number} were asked for")
    return chosen.take(number)


def _file_and_format(name: str) -> tuple[str, str | None]:
    path = name.removeprefix(FILE)
    form, colon, rest = path.partition(":")
    return (rest, form) if colon and form in FORMATS else (path, None)


def _first(prompts: tuple[Prompt, ...], n: int | None, name: str) -> tuple[Prompt, ...]:
    if n is not None and not 1 <= n <= len(prompts):
        path, _ = _file_and_format(name)
        raise InputError(f"{path} has {len(prompts)} prompts; {n} were asked for")
    return prompts if n is None else prompts[:n]
