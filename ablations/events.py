"""The run's diary, ``events.jsonl``: appended and flushed line by line, read by a resumed run.

A kill can cut the last line; whatever is no whole line of JSON is left out when reading, and the
next line begins on a fresh one.
"""

from __future__ import annotations

import errno
import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dalle2eval.records import InputError
from dalle2eval.store import explain_os_error

NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)  # a file system that knows no locks


@contextmanager
def alone_with(path: Path) -> Iterator[None]:
    """Hold a diary for one run; the system lets go of it when the process ends, however it ends.

    Raises:
        InputError: another run is at work in this folder, or the diary cannot be written.
        DiskFullError: the disk is full.
    """
    try:
        diary = path.open("a")
    except OSError as error:
        raise explain_os_error(error, path) from None
    with diary as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = (
                f"another run is at work in {path.parent}; wait for it, or choose another --out"
            )
            raise InputError(message) from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        yield


class Events:
    """The diary of one run folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._past = _read(path)
        self._mend()

    @property
    def past(self) -> list[dict[str, Any]]:
        """Return all events so far, oldest first."""
        return self._past

    def write(self, event: str, **facts: Any) -> None:
        """Append one event with the time.

        Raises:
            DiskFullError: the disk is full.
        """
        record = {"time": round(time.time(), 3), "event": event, **facts}
        self._append(json.dumps(record, sort_keys=True) + "\n")
        self._past.append(record)

    def _append(self, text: str) -> None:
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(text)
                file.flush()
        except OSError as error:
            raise explain_os_error(error, self.path) from None

    def _mend(self) -> None:
        """End a line that a kill has cut, so that the next event is not glued to it."""
        written = self.path.read_bytes() if self.path.exists() else b""
        if written and not written.endswith(b"\n"):
            self._append("\n")


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    events = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "event" in event:
            events.append(event)
    return events
