"""Let OpenMP's threads spin briefly while they wait for each other, then sleep.

libgomp's threads spin for milliseconds at the end of every parallel loop. On cores of one's own
that hides the cost of waking up; beside any other process the spinning thread takes the core from
the one that it waits for. Spinning a hundredth as long, drawing takes as long as before alone, and
two thirds of the time beside a busy process (benchmarks/waiting.py). libgomp reads its settings
once, when torch loads it; see GOMP_SPINCOUNT in its manual.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

SPINS = "3000"  # some ten microseconds; libgomp's own count is 300,000
# Set by somebody who tunes OpenMP: theirs to decide.
DECIDED_BY = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "KMP_BLOCKTIME")


def let_waiting_threads_sleep(environment: MutableMapping[str, str] = os.environ) -> bool:
    """Ask OpenMP, before torch is imported, for threads that soon sleep while they wait.

    Returns:
        Whether it did; not where the environment says how threads wait.
    """
    if any(map(environment.get, DECIDED_BY)):
        return False
    environment["GOMP_SPINCOUNT"] = SPINS
    return True
