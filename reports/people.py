"""What people preferred: the studies in a run folder's ``votes.json``, in words and as a table.

The file is written by `dalle2eval vote tally --report RUN` and holds finished numbers; here they
are checked and shown. A run without the file has no such section.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dalle2eval.records import SCHEMA_VERSION, Estimate, InputError

FILE = "votes.json"
VERDICTS = ("better", "worse", "no difference found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """How often one arm was preferred to another; a tie counts half.

    Attributes:
        ties: votes for neither; ``bad`` of them called both bad.
        verdict: of ``arm``: better, worse or no difference found.
    """

    arm: str
    versus: str
    wins: int
    losses: int
    ties: int
    bad: int
    voters: int
    prompts: int
    verdict: str
    estimate: Estimate

    @property
    def sentence(self) -> str:
        """Return the preference in words, with its numbers in brackets."""
        if self.estimate.value is None:
            return f"{self.arm} against {self.versus}: not known ({self.estimate.reason})."
        numbers = f"({percent(self.estimate)} of {self.estimate.n} votes went to {self.arm})"
        if self.verdict == "better":
            return f"People prefer {self.arm} to {self.versus} {numbers}."
        if self.verdict == "worse":
            return f"People prefer {self.versus} to {self.arm} {numbers}."
        return (
            f"Whether people prefer {self.arm} or {self.versus}, these votes cannot tell {numbers}."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Strength:
    """An arm's strength in Elo points around the mean of the arms."""

    arm: str
    estimate: Estimate

    @property
    def text(self) -> str:
        """Return the strength with its interval, or why it is not known."""
        return number(self.estimate, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleStudy:
    """One question and what people answered.

    Attributes:
        asks: the question as voters read it.
        notes: who was left out and other cautions, one sentence each.
    """

    asks: str
    arms: tuple[str, ...]
    votes: int
    voters: int
    prompts: int
    preferences: tuple[Preference, ...]
    strengths: tuple[Strength, ...]
    agreement: Estimate
    notes: tuple[str, ...]

    @property
    def agreement_text(self) -> str:
        """Return Krippendorff's alpha with its interval, or why it is not known."""
        return number(self.agreement, 2)


def percent(estimate: Estimate) -> str:
    """Return a share as ``62.5% [51.0, 72.8]``."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return f"not known: {estimate.reason}"
    low, high = (f"{100 * bound:.1f}" for bound in (estimate.low, estimate.high))
    return f"{100 * estimate.value:.1f}% [{low}, {high}]"


def number(estimate: Estimate, digits: int) -> str:
    """Return a number with its interval."""
    if estimate.value is None:
        return f"not known: {estimate.reason}"
    value, low, high = (
        f"{bound:.{digits}f}".replace("-", "\N{MINUS SIGN}")
        for bound in (estimate.value, estimate.low or 0.0, estimate.high or 0.0)
    )
    return f"{value} [{low}, {high}]"


def people_studies(folder: Path) -> tuple[PeopleStudy, ...]:
    """Return the studies of a run folder; none where nobody was asked.

    Raises:
        InputError: votes.json is damaged, edited or from a newer release.
    """
    path = folder / FILE
    if not path.exists():
        return ()
    try:
        data = json.loads(path.read_bytes())
        if data["schema_version"] != SCHEMA_VERSION:
            raise InputError(
                f"{path}: schema_version {data['schema_version']!r}; "
                f"this release reads {SCHEMA_VERSION}"
            )
        return tuple(_study(row) for row in data["studies"])
    except InputError:
        raise
    except (
        OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError
    ) as error:  # fmt: skip
        raise InputError(f"{path}: damaged, {' '.join(str(error).split())[:120]}") from None


def _study(row: Mapping[str, Any]) -> PeopleStudy:
    counts = row["counts"]
    return PeopleStudy(
        asks=str(row["asks"]),
        arms=tuple(map(str, row["arms"])),
        votes=int(counts["votes"]),
        voters=int(counts["voters"]),
        prompts=int(counts["prompts"]),
        preferences=tuple(_preference(rate) for rate in row["win_rates"]),
        strengths=tuple(
            Strength(arm=str(each["arm"]), estimate=Estimate(**each["estimate"]))
            for each in row["strengths"]
        ),
        agreement=Estimate(**row["agreement"]),
        notes=tuple(map(str, row["notes"])),
    )


def _preference(row: Mapping[str, Any]) -> Preference:
    if row["verdict"] not in VERDICTS:
        raise ValueError(f"verdict {row['verdict']!r}")
    counts = {
        name: int(row[name]) for name in ("wins", "losses", "ties", "bad", "voters", "prompts")
    }
    return Preference(
        arm=str(row["arm"]),
        versus=str(row["versus"]),
        verdict=row["verdict"],
        estimate=Estimate(**row["estimate"]),
        **counts,
    )
