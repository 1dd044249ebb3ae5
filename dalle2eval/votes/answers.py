"""Answers that came back as a file: what a page without a server saved, checked and kept.

A file is a stranger's: each of its fields is looked at, and the side that a picture lay on is
worked out anew from the page's sequence, never believed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dalle2eval.records import SCHEMA_VERSION, InputError
from dalle2eval.votes.page import ANSWERS_FORMAT, SEQUENCES, static_voter
from dalle2eval.votes.sequence import CHOICES, sequence
from dalle2eval.votes.store import MAX_KEY, MIN_KEY, NameTaken, Vote, VoteStore, known_seconds
from dalle2eval.votes.study import Study

MAX_FILE_BYTES = 5_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What became of a file: new votes, and those that had been there already."""

    voter: str
    new: int
    known: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answers:
    """A file's content, checked; the votes do not name their voter yet."""

    path: Path
    voter: str
    key: str
    votes: Sequence[Vote]


def import_answers(study: Study, *paths: Path, name: str | None = None) -> tuple[Imported, ...]:
    """Keep the votes of all files, or of none where one is refused.

    A vote counts once, however often its file is imported.

    Args:
        study: the study that the page was exported from.
        paths: the files that the page saved.
        name: keeps the voter under another name, where theirs is taken.

    Raises:
        InputError: a file is damaged, of another study, or its voter's name is taken.
    """
    checked = [_checked(study, path) for path in paths]
    store = VoteStore(study.database, study.id)
    try:
        with store.together():
            return tuple(_keep(store, answers, name or answers.voter) for answers in checked)
    finally:
        store.close()


def _checked(study: Study, path: Path) -> _Answers:
    data = _read(path, study)
    try:
        shown = sequence(study, static_voter(_sequence_number(data)))
        showings = {showing.pair.id: showing for showing in shown}
        votes = [_vote(row, showings) for row in data["votes"]]
        voter, key = _text(data, "voter"), _text(data, "key")
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: damaged answers, {_said(error)}") from None
    if not MIN_KEY <= len(key) <= MAX_KEY:
        raise InputError(f"{path}: damaged answers, a key has {MIN_KEY} to {MAX_KEY} characters")
    if len({vote.pair for vote in votes}) < len(votes):
        raise InputError(f"{path}: damaged answers, a pair is answered twice")
    return _Answers(path=path, voter=voter, key=key, votes=votes)


def _keep(store: VoteStore, answers: _Answers, name: str) -> Imported:
    try:
        voter = store.join(name, answers.key, source=answers.path.name)
    except NameTaken as error:
        raise InputError(f"{answers.path}: {error} with --as NAME") from None
    except InputError as error:
        raise InputError(f"{answers.path}: {error}") from None
    before = store.answered(voter)
    for vote in answers.votes:
        store.record(replace(vote, voter=voter))
    known = sum(vote.pair in before for vote in answers.votes)
    return Imported(voter=voter, new=len(answers.votes) - known, known=known)


def _read(path: Path, study: Study) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InputError(f"{path}: more than {MAX_FILE_BYTES} bytes; not a file of answers")
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: damaged, not JSON ({_said(error)})") from None
    if not isinstance(data, dict) or data.get("format") != ANSWERS_FORMAT:
        raise InputError(f"{path}: not a file of answers (format {ANSWERS_FORMAT!r})")
    if data.get("schema_version") != SCHEMA_VERSION:
        raise InputError(
            f"{path}: schema_version {data.get('schema_version')!r}; "
            f"this release reads {SCHEMA_VERSION}"
        )
    if data.get("study") != study.id:
        raise InputError(
            f"{path}: answers study {str(data.get('study'))[:8]!r}, and {study.folder} holds "
            f"{study.id[:8]!r}"
        )
    missing = [field for field in ("voter", "key", "sequence", "votes") if field not in data]
    if missing:
        raise InputError(f"{path}: damaged answers, lacks {', '.join(missing)}")
    return data


def _sequence_number(data: Mapping[str, Any]) -> int:
    number = data["sequence"]
    if not isinstance(number, int) or not 0 <= number < SEQUENCES:
        raise ValueError(f"sequence {number!r} is none of 0 to {SEQUENCES - 1}")
    return number


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} {str(value)[:20]!r} is not a text")
    return value


def _vote(row: Mapping[str, Any], showings: Mapping[str, Any]) -> Vote:
    if row["pair"] not in showings:
        raise ValueError(f"pair {str(row['pair'])[:20]!r} was not on the page")
    if row["choice"] not in CHOICES:
        raise ValueError(f"choice {str(row['choice'])[:20]!r} (allowed: {', '.join(CHOICES)})")
    showing = showings[row["pair"]]
    return Vote(
        voter="",
        pair=showing.pair.id,
        choice=showing.slot_chosen(row["choice"]),
        left=showing.left,
        seconds=known_seconds(row.get("seconds")),
    )


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
