"""Which pictures meet: a blind, seeded choice of pairs of the same prompt and seed.

Everything is drawn by hashing (study seed, what is drawn), so the same command gives the same study
on every machine. Prompts come before seeds: people's answers vary most between prompts, so a second
picture of a prompt is only shown when every prompt has been shown once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from dalle2eval.records import InputError, NotComparable, SampleKey, fingerprint
from dalle2eval.votes.arms import ArmPictures
from dalle2eval.votes.questions import Question

FIRST, SECOND = "first", "second"
SLOTS = (FIRST, SECOND)
ID_LENGTH = 16  # hex digits


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two arms' pictures of one prompt, or an attention check.

    Attributes:
        id: says nothing about arms or answers.
        seeds: of the pictures on each side; several where the question shows grids.
        arms: labels in the order of the slots ``first`` and ``second``; empty for a check.
        answer: the slot that is right, for an attention check; None for a true pair.
    """

    id: str
    prompt_id: str
    prompt: str
    seeds: tuple[int, ...]
    arms: tuple[str, ...]
    answer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """Pictures of one prompt that both of two arms have."""

    prompt_id: str
    seeds: tuple[int, ...]


def draw(*what: Any) -> str:
    """Return a hash to sort or choose by."""
    return fingerprint(list(what))


def draw_share(*what: Any) -> float:
    """Return a number in [0, 1) drawn by a hash."""
    return int(draw(*what)[:13], 16) / 16**13


def common_size(arms: Sequence[ArmPictures], wanted: int | None) -> int:
    """Return the side at which most samples lie in all arms; the larger of equals.

    Raises:
        InputError: the arms share no picture, or none of the wanted side.
    """
    shared = frozenset.intersection(*(frozenset(arm.files) for arm in arms))
    counts = Counter(size for _, size in shared)
    if not counts:
        labels = ", ".join(arm.label for arm in arms)
        raise NotComparable(f"{labels} share no prompt and seed of one size; nothing can be shown")
    if wanted is None:
        return max(counts, key=lambda size: (counts[size], size))
    if wanted not in counts:
        sizes = ", ".join(str(size) for size in sorted(counts))
        raise InputError(f"--size {wanted}: the arms share no such pictures (allowed: {sizes})")
    return wanted


def choose_pairs(
    arms: Sequence[ArmPictures], question: Question, *, num: int, size: int, seed: int
) -> tuple[Pair, ...]:
    """Return ``num`` pairs, spread evenly over every two arms; fewer where there are no more.

    Raises:
        NotComparable: two arms call different texts by one prompt id.
        InputError: two arms have no pictures to compare by this question.
    """
    lists = [
        _ordered(first, second, question, size=size, seed=seed)
        for first, second in combinations(arms, 2)
    ]
    longest = max(len(found) for found in lists)
    pairs = [found[rank] for rank in range(longest) for found in lists if rank < len(found)]
    return tuple(pairs[:num])


def _ordered(
    one: ArmPictures, other: ArmPictures, question: Question, *, size: int, seed: int
) -> list[Pair]:
    """Return every pair of two arms, all prompts once before any twice."""
    _check_prompts(one, other)
    seeds: dict[str, list[int]] = {}
    for key, side in sorted(one.files, key=lambda item: (item[0], item[1])):
        if side == size and (key, side) in other.files:
            seeds.setdefault(key.prompt_id, []).append(key.seed)
    found = list(_meetings(seeds, question, seed))
    if not found:
        need = "two pictures a prompt" if question.grid > 1 else "one picture"
        raise InputError(
            f"{one.label} and {other.label} share no prompt with {need} at {size} pixels; "
            f"the question {question.name} needs them"
        )
    return [_pair(meeting, one, other, seed) for meeting in found]


def _check_prompts(one: ArmPictures, other: ArmPictures) -> None:
    for prompt_id in one.prompts.keys() & other.prompts.keys():
        if one.prompts[prompt_id] != other.prompts[prompt_id]:
            raise NotComparable(
                f"prompt {prompt_id!r} is {one.prompts[prompt_id][:60]!r} in {one.run} and "
                f"{other.prompts[prompt_id][:60]!r} in {other.run}"
            )


def _meetings(seeds: Mapping[str, list[int]], question: Question, seed: int) -> Iterator[Meeting]:
    if question.grid > 1:
        enough = [prompt for prompt, found in seeds.items() if len(found) > 1]
        for prompt in sorted(enough, key=lambda p: draw(seed, p)):
            yield Meeting(prompt_id=prompt, seeds=tuple(seeds[prompt][: question.grid]))
        return
    ranked = []
    for prompt, found in seeds.items():
        for rank, number in enumerate(sorted(found, key=lambda n: draw(seed, prompt, n))):
            ranked.append((rank, draw(seed, prompt), prompt, number))
    for _, _, prompt, number in sorted(ranked):
        yield Meeting(prompt_id=prompt, seeds=(number,))


def _pair(meeting: Meeting, one: ArmPictures, other: ArmPictures, seed: int) -> Pair:
    what = (seed, meeting.prompt_id, meeting.seeds, one.label, other.label)
    labels = (one.label, other.label) if draw_share("slots", *what) < 0.5 else (  # noqa: PLR2004
        other.label, one.label,
    )  # fmt: skip
    return Pair(
        id=draw("pair", *what)[:ID_LENGTH],
        prompt_id=meeting.prompt_id,
        prompt=one.prompts[meeting.prompt_id],
        seeds=meeting.seeds,
        arms=labels,
    )


def sample_file(arm: ArmPictures, prompt_id: str, *, seed: int, size: int) -> Any:
    """Return the file of one picture of an arm."""
    return arm.files[SampleKey(prompt_id=prompt_id, seed=seed), size]
