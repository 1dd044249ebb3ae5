"""Show the answers: read run folders, compute nothing, and need no torch."""

from __future__ import annotations
