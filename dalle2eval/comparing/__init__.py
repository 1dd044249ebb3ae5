"""Hold two runs, or two arms of runs, against each other in pairs: `dalle2eval compare A B`."""

from __future__ import annotations

from dalle2eval.comparing.front import compare

__all__ = ["compare"]
