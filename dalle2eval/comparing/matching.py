"""What two runs have in common: the prompts and seeds that are compared, and what is left out.

Refused are prompts that share an id but not their text, pictures of another size, and runs that
have nothing in common: their difference would be one of questions, not of models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dalle2eval.comparing.sides import ArmPair, Side, arms_left_out
from dalle2eval.records import NotComparable, Prompt, SampleKey

SHOWN = 60  # characters of a prompt in an error


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """The prompts and seeds of both runs, in A's order.

    Attributes:
        left_out: what is not compared, a sentence each.
    """

    prompts: tuple[Prompt, ...]
    seeds: tuple[int, ...]
    left_out: tuple[str, ...]

    @property
    def keys(self) -> frozenset[SampleKey]:
        """Return every (prompt, seed)."""
        return frozenset(
            SampleKey(prompt_id=p.id, seed=s) for p in self.prompts for s in self.seeds
        )

    def whole(self, side: Side) -> bool:
        """Say whether nothing of a run is left out, so that its own estimates hold here."""
        plan = side.run.plan
        return len(plan.prompts) == len(self.prompts) and len(plan.seeds) == len(self.seeds)


def match(a: Side, b: Side, pairs: Sequence[ArmPair]) -> Shared:
    """Return what both sides were asked.

    Raises:
        NotComparable: no prompt or no seed is shared, or a prompt or a picture's size is another.
    """
    theirs = b.run.prompts
    prompts = tuple(prompt for prompt in a.run.plan.prompts if prompt.id in theirs)
    for prompt in prompts:
        _check_same(prompt, theirs[prompt.id])
    seeds = tuple(seed for seed in a.run.plan.seeds if seed in b.run.plan.seeds)
    if not prompts:
        raise NotComparable("other prompts: A and B share none")
    if not seeds:
        raise NotComparable(
            f"other seeds: A has {_listed(a.run.plan.seeds)}, B has {_listed(b.run.plan.seeds)}"
        )
    shared = Shared(prompts=prompts, seeds=seeds, left_out=())
    for pair in pairs:
        _check_sizes(a, b, pair, shared.keys)
    left_out = [line for side in (a, b) for line in _left_out(side, pairs, shared)]
    return Shared(prompts=prompts, seeds=seeds, left_out=tuple(left_out))


def _check_same(ours: Prompt, theirs: Prompt) -> None:
    if ours.text != theirs.text:
        raise NotComparable(
            f"other prompts: {ours.id!r} is {ours.text[:SHOWN]!r} in A, "
            f"{theirs.text[:SHOWN]!r} in B"
        )
    if dict(ours.facts or {}) != dict(theirs.facts or {}):
        raise NotComparable(f"other prompts: what {ours.id!r} is judged by differs in A and B")


def _check_sizes(a: Side, b: Side, pair: ArmPair, keys: frozenset[SampleKey]) -> None:
    for key in sorted(keys):
        ours, theirs = a.run.sizes.get((pair.a, key)), b.run.sizes.get((pair.b, key))
        if ours and theirs and ours != theirs:
            raise NotComparable(
                f"other resolution: prompt {key.prompt_id!r} seed {key.seed} has pictures of "
                f"{_listed(sorted(ours))} pixels in A, {_listed(sorted(theirs))} in B"
            )


def _left_out(side: Side, pairs: Sequence[ArmPair], shared: Shared) -> list[str]:
    plan, lines, only = side.run.plan, [], f"Only {side.letter} has"
    paired = tuple(pair.a if side.letter == "A" else pair.b for pair in pairs)
    arms = arms_left_out(side, paired)
    if arms:
        lines.append(f"{only} the arms {', '.join(arms)}: left out.")
    prompts = len(plan.prompts) - len(shared.prompts)
    if prompts:
        lines.append(f"{only} {prompts} of its {len(plan.prompts)} prompts: left out.")
    seeds = [seed for seed in plan.seeds if seed not in shared.seeds]
    if seeds:
        lines.append(f"{only} the seeds {_listed(seeds)}: left out.")
    return lines


def _listed(values: Sequence[int]) -> str:
    few = ", ".join(map(str, values[:8]))
    return few if len(values) <= 8 else f"{few}, ..."  # noqa: PLR2004
