"""Freed memory is kept for the next step, where glibc is the allocator."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from dalle2eval.allocator import DECIDED_BY, keep_freed_memory

# Twenty times 8 MB, taken, written and freed as a network's activations are.
CHURN = """
import resource
import numpy as np
from dalle2eval.allocator import keep_freed_memory

kept = keep_freed_memory() if {kept} else True
np.ones(1_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(1_000_000)
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(kept: bool) -> int:
    """Return the page faults of the churn; a page is 4 KB and more."""
    environment = {name: value for name, value in os.environ.items() if name not in DECIDED_BY}
    environment["NUMPY_MADVISE_HUGEPAGE"] = "0"  # 4 KB pages with and without
    done = subprocess.run(
        [sys.executable, "-c", CHURN.format(kept=kept)],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    did, count = done.stdout.split()
    assert did == "True"
    return int(count)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_a_freed_block_is_not_mapped_again_at_every_step() -> None:
    assert faults(kept=True) < 100
    assert faults(kept=False) > 1000, "this machine's allocator needs no help"


@pytest.mark.parametrize("variable", DECIDED_BY)
def test_an_allocator_that_somebody_set_is_left_as_it_is(variable: str) -> None:
    assert keep_freed_memory({variable: "1"}) is False
