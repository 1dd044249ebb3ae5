"""Keep memory that was freed, in place of giving it back to the system at every step.

glibc maps large blocks afresh (from 128 KB, later up to 32 MB, whatever was freed) and unmaps them
when they are freed. Training a U-Net on a CPU frees hundreds of them a step, each comes back as new
pages that the kernel must find and clear, and on a virtual machine that was half of the time
(docs/notebook.md); drawing keeps smaller blocks and gains 2% (benchmarks/allocator.py). Held blocks
are used again instead; a process keeps its peak until it ends. See mallopt(3), M_MMAP_MAX and
M_TRIM_THRESHOLD.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping

# Of malloc.h; their numbers are part of glibc's interface.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
NEVER_TRIM = 2**31 - 1
GROW_BY = 2**26
# Set by somebody who tunes the allocator, or replaced it (jemalloc, tcmalloc): theirs to decide.
DECIDED_BY = ("LD_PRELOAD", "GLIBC_TUNABLES", "MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_")


def keep_freed_memory(environment: Mapping[str, str] = os.environ) -> bool:
    """Tell glibc's allocator, for this process, to hold what was freed.

    Returns:
        Whether it did; not where there is no glibc, or where the environment sets the allocator.
    """
    if not sys.platform.startswith("linux") or any(map(environment.get, DECIDED_BY)):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return False
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, NEVER_TRIM), (M_TOP_PAD, GROW_BY))
    taken = [libc.mallopt(name, value) for name, value in settings]  # every one, then the verdict
    return all(code == 1 for code in taken)
