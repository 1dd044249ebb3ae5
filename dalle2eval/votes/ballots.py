"""Votes as arrays: what was preferred, by whom, on which prompt; checks and failed voters apart.

A voter who gets more than a quarter of the attention checks wrong was not looking (a tie or "both
bad" on a check is wrong as well). Such a voter is named and left out of every number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dalle2eval.votes.pairs import FIRST, SECOND, Pair
from dalle2eval.votes.store import Vote

MAX_WRONG = 0.25  # of the checks that a voter answered
FIRST_WINS, SECOND_WINS, TIED, BOTH_BAD = 0, 1, 2, 3
OUTCOMES = {FIRST: FIRST_WINS, SECOND: SECOND_WINS, "tie": TIED, "bad": BOTH_BAD}

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """How one voter did on the checks."""

    voter: str
    right: int
    checks: int

    @property
    def failed(self) -> bool:
        """Say whether the voter is left out."""
        return self.checks - self.right > MAX_WRONG * self.checks


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ballots:
    """True votes as arrays [n]; arms, voters, prompts and pairs by their number.

    Attributes:
        first: arm in the slot ``first``.
        second: arm in the slot ``second``.
        outcome: FIRST_WINS, SECOND_WINS, TIED or BOTH_BAD.
        left_chosen: 1 where the picture on the left was preferred, 0 the right, -1 neither.
    """

    first: Codes
    second: Codes
    outcome: Codes
    voter: Codes
    prompt: Codes
    pair: Codes
    left_chosen: Codes

    def __len__(self) -> int:
        """Return how many votes there are."""
        return len(self.outcome)


def attention(votes: Sequence[Vote], pairs: Mapping[str, Pair]) -> tuple[Attention, ...]:
    """Return every voter's record on the checks, in the order in which they came."""
    records: dict[str, list[bool]] = {}
    for vote in votes:
        found = records.setdefault(vote.voter, [])
        answer = pairs[vote.pair].answer
        if answer is not None:
            found.append(vote.choice == answer)
    return tuple(
        Attention(voter=voter, right=sum(found), checks=len(found))
        for voter, found in records.items()
    )


def ballots(votes: Sequence[Vote], pairs: Mapping[str, Pair], arms: Sequence[str]) -> Ballots:
    """Return the votes on true pairs as arrays."""
    true = [vote for vote in votes if pairs[vote.pair].answer is None]
    shown = [pairs[vote.pair] for vote in true]
    place = {arm: i for i, arm in enumerate(arms)}
    return Ballots(
        first=_array([place[pair.arms[0]] for pair in shown]),
        second=_array([place[pair.arms[1]] for pair in shown]),
        outcome=_array([OUTCOMES[vote.choice] for vote in true]),
        voter=_codes([vote.voter for vote in true]),
        prompt=_codes([pair.prompt_id for pair in shown]),
        pair=_codes([pair.id for pair in shown]),
        left_chosen=_array(
            [int(v.choice == v.left) if v.choice in (FIRST, SECOND) else -1 for v in true]
        ),
    )


def _array(values: Sequence[int]) -> Codes:
    return np.asarray(values, dtype=np.int64)


def _codes(names: Sequence[str]) -> Codes:
    """Number names 0, 1, 2 … without gaps."""
    place = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return _array([place[name] for name in names])
