"""The two sides of a comparison: a run folder each, or one arm of it (``RUN:ARM``).

A is what B is held against: every difference is B minus A.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dalle2eval.records import ArmSpec, InputError
from dalle2eval.spelling import nearest
from reports.reading import read_run
from reports.run_record import RunRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side.

    Attributes:
        letter: ``A`` or ``B``.
        arm: the one arm that was asked for; None for all of the run's.
    """

    letter: str
    run: RunRecord
    arm: str | None

    @property
    def name(self) -> str:
        """Return the folder's name, and the arm where one was asked for."""
        folder = self.run.folder.resolve().name
        return folder if self.arm is None else f"{folder}:{self.arm}"

    def spec(self, arm: str) -> ArmSpec:
        """Return one of the run's arms."""
        return next(spec for spec in self.run.arms if spec.name == arm)

    def label(self, arm: str) -> str:
        """Return what an arm of this side is called in the comparison."""
        return f"{self.letter}:{arm}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmPair:
    """An arm of A and the arm of B that is held against it."""

    a: str
    b: str


def read_side(letter: str, place: str | Path) -> Side:
    """Read a run folder, or one arm of it.

    Raises:
        InputError: there is no such folder or arm, or a file of it is damaged.
    """
    folder, colon, arm = str(place).rpartition(":")
    if not colon or Path(place).is_dir():
        return Side(letter=letter, run=read_run(place), arm=None)
    run = read_run(folder)
    names = [spec.name for spec in run.arms]
    if arm not in names:
        raise InputError(f'{folder}: no arm "{arm}"{nearest(arm, names)}')
    return Side(letter=letter, run=run, arm=arm)


def pair_arms(a: Side, b: Side) -> tuple[ArmPair, ...]:
    """Return which arm of A is held against which of B.

    Arms are paired by name. Where one side names an arm, or the names have nothing in common, the
    other side must have that arm, or one arm only.

    Raises:
        InputError: it cannot be said which arms are meant, or both sides are the same arm.
    """
    if a.arm is not None or b.arm is not None:
        first = a.arm if a.arm is not None else _partner(a, str(b.arm))
        second = b.arm if b.arm is not None else _partner(b, str(a.arm))
        pairs: tuple[ArmPair, ...] = (ArmPair(a=first, b=second),)
    else:
        others = {spec.name for spec in b.run.arms}
        common = [spec.name for spec in a.run.arms if spec.name in others]
        pairs = tuple(ArmPair(a=name, b=name) for name in common) or _only(a, b)
    if a.run.folder.resolve() == b.run.folder.resolve() and any(p.a == p.b for p in pairs):
        raise InputError("A and B are the same arm of the same run; name two arms, as RUN:ARM")
    return pairs


def arms_left_out(side: Side, paired: tuple[str, ...]) -> list[str]:
    """Return the arms of a side that nothing is held against; none where an arm was asked for."""
    if side.arm is not None:
        return []
    return [spec.name for spec in side.run.arms if spec.name not in paired]


def _only(a: Side, b: Side) -> tuple[ArmPair, ...]:
    if len(a.run.arms) == len(b.run.arms) == 1:
        return (ArmPair(a=a.run.arms[0].name, b=b.run.arms[0].name),)
    raise InputError(
        f"A and B have no arm in common (A: {_names(a)}; B: {_names(b)}); name them, as RUN:ARM"
    )


def _partner(side: Side, wanted: str) -> str:
    names = [spec.name for spec in side.run.arms]
    if wanted in names:
        return wanted
    if len(names) == 1:
        return names[0]
    raise InputError(f'{side.letter} has no arm "{wanted}" (its arms: {_names(side)}); name one')


def _names(side: Side) -> str:
    return ", ".join(spec.name for spec in side.run.arms)
