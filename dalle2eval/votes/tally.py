"""Count a study: win rates, strengths, agreement, and who was left out.

The result is plain JSON data, the same on the terminal, in the study's ``tally.json`` and in a run
folder's ``votes.json``, which the report shows (docs/design/001-run-folder.md).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from dalle2eval.records import SCHEMA_VERSION, Estimate, InputError, to_json
from dalle2eval.statistics.intervals import LEVEL, wilson_interval
from dalle2eval.store import write_atomic
from dalle2eval.votes.agreement import agreement
from dalle2eval.votes.ballots import Attention, Ballots, attention, ballots
from dalle2eval.votes.bradley_terry import fit
from dalle2eval.votes.store import VoteStore
from dalle2eval.votes.study import Study
from dalle2eval.votes.two_way import degrees_of_freedom
from dalle2eval.votes.win_rates import EVEN, WinRate, win_rates

RUN_FILE = "votes.json"
ELO_PER_LOG = 400 / math.log(10)  # Elo's unit: 400 points are odds of ten to one
STRENGTH_METHOD = "Davidson 1970, errors clustered by voter and prompt"


def tally(study: Study) -> dict[str, Any]:
    """Count the votes of a study and write ``tally.json`` beside them.

    Raises:
        InputError: nobody has voted yet, or the votes are not this study's.
    """
    if not study.database.is_file():
        raise InputError(f"{study.folder}: nobody has voted yet")
    store = VoteStore(study.database, study.id)
    votes = store.votes()
    store.close()
    if any(vote.pair not in study.by_id for vote in votes):
        raise InputError(f"{study.database}: holds votes on pairs that are not in study.json")
    record = attention(votes, study.by_id)
    out = {who.voter for who in record if who.failed}
    counted = ballots([v for v in votes if v.voter not in out], study.by_id, study.arms)
    if not len(counted):
        why = f"all {len(record)} voters failed the attention checks" if out else "no votes yet"
        raise InputError(f"{study.folder}: {why}")
    result = _result(study, counted, record)
    write_atomic(study.folder / "tally.json", json.dumps(result, indent=1).encode())
    return result


def _result(study: Study, votes: Ballots, record: Sequence[Attention]) -> dict[str, Any]:
    rates = win_rates(votes, len(study.arms), f"win_rate.{study.question.name}")
    return {
        "study": study.id,
        "question": study.question.name,
        "asks": study.question.asks,
        "arms": list(study.arms),
        "runs": {arm: dict(facts) for arm, facts in study.runs.items()},
        "size": study.size,
        "counts": {
            "votes": len(votes),
            "voters": len(np.unique(votes.voter)),
            "prompts": len(np.unique(votes.prompt)),
            "pairs": len(np.unique(votes.pair)),
        },
        "win_rates": [_rate_row(rate, study.arms) for rate in rates],
        "strengths": _strength_rows(votes, study.arms),
        "agreement": to_json(agreement(votes)),
        "left_out": [
            {"voter": who.voter, "right": who.right, "checks": who.checks}
            for who in record
            if who.failed
        ],
        "notes": _notes(votes, record),
    }


def _rate_row(rate: WinRate, arms: Sequence[str]) -> dict[str, Any]:
    names = ("wins", "losses", "ties", "bad", "voters", "prompts")
    return {
        "arm": arms[rate.arm],
        "versus": arms[rate.versus],
        **{name: getattr(rate, name) for name in names},
        "verdict": _verdict(rate.estimate),
        "estimate": to_json(rate.estimate),
    }


def _verdict(rate: Estimate) -> str:
    """Return ``better``, ``worse`` or ``no difference found``, as comparisons of a run do."""
    if rate.low is None or rate.high is None or rate.low <= EVEN <= rate.high:
        return "no difference found"
    return "better" if rate.low > EVEN else "worse"


def _strength_rows(votes: Ballots, arms: Sequence[str]) -> list[dict[str, Any]]:
    """Return every arm's strength in Elo points around the mean; with a reason where unknown."""
    reason, values, errors = None, np.zeros(len(arms)), np.zeros(len(arms))
    try:
        found = fit(votes, len(arms))
        quantile = stats.t.ppf((1 + LEVEL) / 2, degrees_of_freedom(votes.voter, votes.prompt))
        values = found.theta * ELO_PER_LOG
        errors = quantile * found.errors * ELO_PER_LOG
    except ValueError as error:
        reason = str(error)
    return [
        {
            "arm": arm,
            "estimate": to_json(
                Estimate(
                    metric="strength",
                    value=None if reason else float(value),
                    low=None if reason else float(value - error),
                    high=None if reason else float(value + error),
                    n=len(votes),
                    method=STRENGTH_METHOD,
                    higher_is_better=True,
                    unit="Elo points",
                    reason=reason,
                )
            ),
        }
        for arm, value, error in zip(arms, values, errors, strict=True)
    ]


def _notes(votes: Ballots, record: Sequence[Attention]) -> list[str]:
    """Return what a reader must know: who was left out, who was not checked, a lean to one side."""
    notes = [
        f"{who.voter} got {who.right} of {who.checks} attention checks right and is left out."
        for who in record
        if who.failed
    ]
    unchecked = [who.voter for who in record if who.checks == 0]
    if unchecked:
        notes.append(f"Met no attention check, and counted: {', '.join(unchecked)}.")
    if len(np.unique(votes.voter)) == 1:
        notes.append("One person voted: the intervals are about new prompts, not other people.")
    sided = votes.left_chosen[votes.left_chosen >= 0]
    if len(sided):
        interval = wilson_interval(float(sided.sum()), len(sided))
        if not interval.low <= EVEN <= interval.high:
            notes.append(
                f"The left picture was preferred in {sided.mean():.0%} of {len(sided)} decided "
                "votes; sides were dealt evenly, so this widens the noise and favours no arm."
            )
    return notes


def put_into_run(result: Mapping[str, Any], folder: Path) -> Path:
    """Write a tally into a run folder's ``votes.json``, in place of an older one of this study.

    Raises:
        InputError: the folder is no run of this study, or its votes.json is damaged.
    """
    _check_run(result, folder)
    path = folder / RUN_FILE
    studies = [s for s in _studies(path) if s.get("study") != result["study"]]
    content = {"schema_version": SCHEMA_VERSION, "studies": [*studies, result]}
    write_atomic(path, json.dumps(content, indent=1).encode())
    return path


def _check_run(result: Mapping[str, Any], folder: Path) -> None:
    from reports.reading import read_run  # a tally without a report needs no Parquet

    fingerprint = read_run(folder).plan.fingerprint
    if all(facts["fingerprint"] != fingerprint for facts in result["runs"].values()):
        names = ", ".join(dict.fromkeys(facts["run"] for facts in result["runs"].values()))
        raise InputError(f"{folder}: is no run of this study (its runs: {names})")


def _studies(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        studies = json.loads(path.read_bytes())["studies"]
        return [dict(study) for study in studies]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: damaged, {' '.join(str(error).split())[:100]}") from None
