"""Votes in SQLite: one row per voter and pair, on the disk before it is acknowledged.

The first vote of a voter on a pair counts; the same vote sent again (a lost answer, a file imported
twice) finds its row and changes nothing. WAL lets a tally read while a server writes.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dalle2eval.records import InputError

BUSY_S = 30.0  # how long to wait for another process that writes
MAX_NAME = 40
MIN_KEY, MAX_KEY = 16, 128  # characters of a voter's key
MAX_SECONDS = 86_400.0  # an answer that took longer tells nothing of its time
TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS voters (
  name TEXT PRIMARY KEY, key_hash TEXT NOT NULL UNIQUE, source TEXT NOT NULL, joined TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS votes (
  voter TEXT NOT NULL REFERENCES voters (name), pair TEXT NOT NULL,
  choice TEXT NOT NULL CHECK (choice IN ('first', 'second', 'tie', 'bad')),
  left_slot TEXT NOT NULL CHECK (left_slot IN ('first', 'second')),
  seconds REAL, at TEXT NOT NULL,
  UNIQUE (voter, pair)
);
"""


class NameTaken(InputError):  # noqa: N818  (it says what is the matter)
    """Somebody else votes under this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One voter's answer on one pair.

    Attributes:
        choice: ``first`` or ``second`` (the slot preferred), ``tie`` or ``bad`` (both bad).
        left: the slot that lay on the left.
        seconds: from seeing the pictures to the answer; None when unknown.
    """

    voter: str
    pair: str
    choice: str
    left: str
    seconds: float | None = None


class VoteStore:
    """The votes of one study; safe to use from several threads and processes."""

    def __init__(self, path: Path, study_id: str) -> None:
        """Open or make the file.

        Raises:
            InputError: it is damaged, or holds the votes of another study.
        """
        self._path, self._lock = path, threading.Lock()
        with self._readable():
            self._base = sqlite3.connect(
                path, timeout=BUSY_S, check_same_thread=False, isolation_level=None
            )
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute("PRAGMA synchronous=FULL")  # acknowledged means on the disk
            self._base.executescript(TABLES)
            path.chmod(0o600)  # it holds the link's token
        if self._fact("study", study_id) != study_id:
            raise InputError(f"{path}: holds the votes of another study")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._base.close()

    def token(self) -> str:
        """Return the study's secret, made at first use and kept over restarts."""
        return self._fact("token", secrets.token_urlsafe(24))

    def join(self, name: str, key: str, *, source: str) -> str:
        """Register a voter, or find the one of this name and key; returns the name as kept.

        Raises:
            NameTaken: the name belongs to another key.
            InputError: the key belongs to another name, or the name is empty, too long or
                unprintable.
        """
        name, hashed = clean_name(name), _hash(key)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._run(
            "INSERT INTO voters VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (name, hashed, source, now),
        )
        found = self._run("SELECT key_hash FROM voters WHERE name = ?", (name,))
        if not found:
            raise InputError(f"this voter is {self.voter_of(key)!r} already, and not {name!r}")
        if found != [(hashed,)]:
            raise NameTaken(f"the name {name!r} is taken by somebody else; choose another")
        return name

    @contextmanager
    def together(self) -> Iterator[None]:
        """Keep all that is written inside, or nothing; for one thread alone."""
        self._run("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._run("ROLLBACK")
            raise
        self._run("COMMIT")

    def voter_of(self, key: str) -> str | None:
        """Return the name of the voter who holds a key; None when nobody does."""
        rows = self._run("SELECT name FROM voters WHERE key_hash = ?", (_hash(key),))
        return str(rows[0][0]) if rows else None

    def record(self, vote: Vote) -> str:
        """Keep a vote and return the choice that counts: the first one given on this pair."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._run(
            "INSERT INTO votes VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (vote.voter, vote.pair, vote.choice, vote.left, vote.seconds, now),
        )
        rows = self._run(
            "SELECT choice FROM votes WHERE voter = ? AND pair = ?", (vote.voter, vote.pair)
        )
        return str(rows[0][0])

    def answered(self, voter: str) -> frozenset[str]:
        """Return the pairs that a voter has answered."""
        return frozenset(
            pair for (pair,) in self._run("SELECT pair FROM votes WHERE voter = ?", (voter,))
        )

    def votes(self) -> tuple[Vote, ...]:
        """Return every vote, in the order in which they came."""
        rows = self._run("SELECT voter, pair, choice, left_slot, seconds FROM votes ORDER BY rowid")
        return tuple(
            Vote(voter=voter, pair=pair, choice=choice, left=left, seconds=seconds)
            for voter, pair, choice, left, seconds in rows
        )

    def _fact(self, name: str, value: str) -> str:
        """Return a fact of the file; the value is kept where there is none yet."""
        self._run("INSERT INTO facts VALUES (?, ?) ON CONFLICT DO NOTHING", (name, value))
        return str(self._run("SELECT value FROM facts WHERE name = ?", (name,))[0][0])

    def _run(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._lock, self._readable():
            return self._base.execute(sql, values).fetchall()

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError | sqlite3.ProgrammingError):
                raise OSError(f"{self._path}: {error}") from error
            raise InputError(f"{self._path}: damaged ({error})") from None


def clean_name(name: str) -> str:
    """Return a voter's name with its spaces tidied.

    Raises:
        InputError: it is empty, longer than 40 characters, or holds unprintable characters.
    """
    tidy = " ".join(name.split())
    if not tidy or len(tidy) > MAX_NAME or not tidy.isprintable():
        raise InputError(f"a name has 1 to {MAX_NAME} printable characters, not {name[:60]!r}")
    return tidy


def known_seconds(seconds: object) -> float | None:
    """Return how long an answer took; None for what is no such time."""
    if not isinstance(seconds, int | float) or not 0 <= seconds <= MAX_SECONDS:
        return None
    return float(seconds)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
