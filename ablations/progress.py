"""How far a run is and when it will be done, from the first second: a bar, or plain lines.

The estimate starts from each stage's yardstick and moves to measured times: a stage that has been
measured counts with its own seconds an image, the others with their yardstick times the ratio seen.
A stage's first unit tells nothing of the others, because it also loads what the stage needs.
Where several workers are at work the seconds left are shared between them, or between as many as
there are units left.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TextIO

from ablations.executors import Done
from ablations.units import Unit

if TYPE_CHECKING:
    from rich.progress import Progress

LINE_EVERY_S = 5.0
BEAT_EVERY_S = 30.0  # a unit that takes longer is no silence


class Watcher(Protocol):
    """Is told how a run goes."""

    def begin(self, units: Sequence[Unit], num_cached: int) -> None:
        """Hear what is to be done."""

    def advance(self, done: Done) -> None:
        """Hear that a unit is done."""

    def end(self) -> None:
        """Hear that all are."""

    def close(self) -> None:
        """Hear that the run goes no further, whatever happened."""


class Forecast:
    """Seconds left, from yardsticks and measurements.

    Args:
        units: what is not in the store yet.
        workers: that will make them; what is told with each unit counts from then on.
    """

    def __init__(self, units: Sequence[Unit], workers: int = 1) -> None:
        self.workers, self.left = workers, len(units)
        self.yardstick: dict[str, float] = defaultdict(float)  # of what is left, by stage
        self.measured: dict[str, float] = defaultdict(float)  # seconds, by stage
        self.expected: dict[str, float] = defaultdict(float)  # yardstick of what was measured
        self.begun: set[str] = set()
        for unit in units:
            self.yardstick[unit.stage] += unit.seconds

    def note(self, done: Done) -> None:
        """Take a unit that was just made into account."""
        stage, self.workers = done.unit.stage, done.workers
        self.left -= 1
        self.yardstick[stage] -= done.unit.seconds
        if stage not in self.begun:
            self.begun.add(stage)
            return
        self.measured[stage] += done.seconds
        self.expected[stage] += done.unit.seconds

    @property
    def seconds_left(self) -> float:
        """Return the forecast."""
        overall = _ratio(sum(self.measured.values()), sum(self.expected.values()))
        work = sum(
            max(left, 0.0)
            * (_ratio(self.measured[s], self.expected[s]) if self.expected[s] else overall)
            for s, left in list(self.yardstick.items())
        )
        return work / max(1, min(self.workers, self.left))


def _ratio(measured: float, expected: float) -> float:
    return measured / expected if expected > 0 else 1.0


def clock(seconds: float) -> str:
    """Return seconds as ``m:ss``, or ``h:mm:ss``.

    >>> clock(75), clock(3675)
    ('1:15', '1:01:15')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Silent:
    """Says nothing (``--quiet``)."""

    def begin(self, units: Sequence[Unit], num_cached: int) -> None:
        """Say nothing."""

    def advance(self, done: Done) -> None:
        """Say nothing."""

    def end(self) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Say nothing."""


class Lines:
    """Plain lines for logs, one every few seconds, and a sign of life while a long unit is made.

    Args:
        stream: where they go; standard error for a person.
        workers: that make units at the same time.
    """

    def __init__(self, stream: TextIO, workers: int = 1) -> None:
        self.stream, self.workers = stream, workers
        self.count = self.total = 0
        self.spoken_at, self.closed = float("-inf"), threading.Event()

    def begin(self, units: Sequence[Unit], num_cached: int) -> None:
        """Say how much there is to do."""
        self.total, self.forecast = len(units), Forecast(units, self.workers)
        self._say(
            f"{len(units)} units to make, {num_cached} in the store, "
            f"ETA {clock(self.forecast.seconds_left)}"
        )
        self.moved_at = time.monotonic()
        self.beating = threading.Thread(target=self._beat, daemon=True)
        self.beating.start()

    def advance(self, done: Done) -> None:
        """Say how far it is, now and then."""
        self.count += 1
        self.forecast.note(done)
        stage, self.moved_at = done.unit.stage, time.monotonic()
        if time.monotonic() - self.spoken_at >= LINE_EVERY_S:
            left = clock(self.forecast.seconds_left)
            self._say(f"{self.count}/{self.total} units  {stage}  ETA {left}")

    def end(self) -> None:
        """Say that it is done."""
        if self.total:
            self._say(f"{self.total}/{self.total} units")

    def close(self) -> None:
        """Fall silent."""
        self.closed.set()

    def _beat(self) -> None:
        while not self.closed.wait(BEAT_EVERY_S):
            if time.monotonic() - self.spoken_at >= BEAT_EVERY_S:
                waited = clock(time.monotonic() - self.moved_at)
                self._say(f"{self.count}/{self.total} units, at work on the next for {waited}")

    def _say(self, text: str) -> None:
        self.spoken_at = time.monotonic()
        self.stream.write(text + "\n")
        self.stream.flush()


class Bar:
    """A bar for a terminal (rich).

    Args:
        workers: that make units at the same time.
    """

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers
        self.progress: Progress | None = None

    def begin(self, units: Sequence[Unit], num_cached: int) -> None:
        """Draw the bar."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self.forecast = Forecast(units, self.workers)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} units  ETA {task.fields[eta]}"),
            console=Console(stderr=True),
        )
        eta = clock(self.forecast.seconds_left)
        self.task = self.progress.add_task(f"{num_cached} cached", total=len(units), eta=eta)
        self.progress.start()

    def advance(self, done: Done) -> None:
        """Move the bar."""
        self.forecast.note(done)
        eta = clock(self.forecast.seconds_left)
        stage = done.unit.stage
        assert self.progress is not None
        self.progress.update(self.task, advance=1, description=stage, eta=eta)

    def end(self) -> None:
        """Leave the bar as it is."""

    def close(self) -> None:
        """Give the terminal back."""
        if self.progress is not None:
            self.progress.stop()


def watcher_for(stream: TextIO, *, quiet: bool, workers: int = 1) -> Watcher:
    """Return who watches: nobody when quiet, a bar on a terminal, else plain lines."""
    if quiet:
        return Silent()
    return Bar(workers) if stream.isatty() else Lines(stream, workers)
