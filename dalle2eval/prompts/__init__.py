"""Prompt sets: what a suite asks its models to draw, by name. One row of the table a set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dalle2eval.prompts.scene_prompts import quick, showcase, single_seen, words
from dalle2eval.records import InputError, Prompt
from dalle2eval.spelling import nearest

__all__ = ["PROMPT_SETS", "PromptSet", "load_prompts"]


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
}


def load_prompts(name: str, n: int | None = None) -> tuple[Prompt, ...]:
    """Return n prompts of a set, always the same ones.

    Raises:
        InputError: there is no such set, or it has not so many prompts.
    """
    if name not in PROMPT_SETS:
        raise InputError(f'no prompt set "{name[:80]}"{nearest(name, PROMPT_SETS)}')
    chosen = PROMPT_SETS[name]
    number = chosen.default if n is None else n
    if not 1 <= number <= chosen.largest:
        raise InputError(f"{name} has 1 to {chosen.largest} prompts; {number} were asked for")
    return chosen.take(number)
