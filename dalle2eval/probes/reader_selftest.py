"""The exact reader's self-test as records, shared by the probes that rest on it."""

from __future__ import annotations

import functools

from dalle2eval.probes.probe import self_test
from dalle2eval.records import SelfTest
from dalle2eval.scenes.selftest import Tally, run_self_test

FLOOR = 0.97
JUDGE = "scene reader"


def reader_self_test(*tasks: str) -> tuple[SelfTest, ...]:
    """Return what the reader gets right on fresh renders in these tasks, one record each."""
    return tuple(
        self_test(JUDGE, tally.task, right=tally.right, n=tally.n, floor=FLOOR)
        for tally in _tallies()
        if tally.task in tasks
    )


@functools.cache
def _tallies() -> tuple[Tally, ...]:
    return run_self_test()
