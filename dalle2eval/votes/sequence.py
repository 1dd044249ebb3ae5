"""What one voter sees: which pairs, in which order, and which picture on the left.

A function of the study and the voter alone, so that a voter comes back to the same place from any
machine. Each arm of a pair lies on the left in half of a voter's pairs, and the attention checks
are spread: one somewhere in every equal part of the sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dalle2eval.votes.pairs import FIRST, SECOND, Pair, draw, draw_share
from dalle2eval.votes.study import Study

TIE, BAD = "tie", "bad"
LEFT, RIGHT = "left", "right"
CHOICES = (LEFT, RIGHT, TIE, BAD)


@dataclass(frozen=True, slots=True)
class Showing:
    """One pair as one voter sees it; ``left`` is the slot whose picture lies on the left."""

    pair: Pair
    left: str

    def slot_chosen(self, choice: str) -> str:
        """Translate what a voter chose (left, right, tie, bad) to a slot, tie or bad."""
        if choice in (TIE, BAD):
            return choice
        return self.left if choice == LEFT else _other(self.left)


def sequence(study: Study, voter: str) -> tuple[Showing, ...]:
    """Return what a voter sees, in order."""
    true = [pair for pair in study.pairs if pair.answer is None]
    checks = [pair for pair in study.pairs if pair.answer is not None]
    true.sort(key=lambda pair: draw(study.id, voter, pair.id))
    chosen = true[: study.per_voter]
    checks.sort(key=lambda pair: draw(study.id, voter, pair.id))
    sides = _sides(study, chosen, voter) | _sides(study, checks, voter)
    return tuple(Showing(pair, sides[pair.id]) for pair in _mixed(study, chosen, checks, voter))


def _sides(study: Study, pairs: Sequence[Pair], voter: str) -> dict[str, str]:
    """Put the alphabetically first arm (or the right answer) on the left every other time."""
    shuffled = sorted(pairs, key=lambda pair: draw(study.id, voter, "side", pair.id))
    sides = {}
    for i, pair in enumerate(shuffled):
        slot = pair.answer or (FIRST if pair.arms[0] < pair.arms[1] else SECOND)
        sides[pair.id] = slot if i % 2 else _other(slot)
    return sides


def _mixed(
    study: Study, pairs: Sequence[Pair], checks: Sequence[Pair], voter: str
) -> Sequence[Pair]:
    placed = [(float(i), pair) for i, pair in enumerate(pairs)]
    for i, check in enumerate(checks):
        part = (i + draw_share(study.id, voter, "place", i)) / len(checks)
        placed.append((part * len(pairs) - 0.5, check))
    return [pair for _, pair in sorted(placed, key=lambda item: item[0])]


def _other(slot: str) -> str:
    return SECOND if slot == FIRST else FIRST
