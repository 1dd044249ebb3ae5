"""Show the answers: read run folders, compute nothing, and need no torch."""

from __future__ import annotations

from reports.reading import read_run
from reports.rendering import DEFAULT_FORMATS, FORMATS, render
from reports.run_record import RunRecord

__all__ = ["DEFAULT_FORMATS", "FORMATS", "RunRecord", "read_run", "render"]
