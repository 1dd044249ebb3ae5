"""What a run cost, from its diary: over all its sessions until it was first finished."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from ablations.units import Unit


def cost_of(units: Iterable[Unit], events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return ``cost`` of ``summary.json``: wall-clock, peak memory, and a row for each stage.

    A later call that finds everything in the store costs nothing and changes nothing here.
    """
    until = _first_work(events)
    finishes = [event for event in until if event["event"] == "finish"]
    return {
        "total_s": round(_session_seconds(until), 2),
        "peak_memory_mb": max((event["peak_memory_mb"] for event in finishes), default=None),
        "stages": _stages(units, {e["address"]: e for e in events if e["event"] == "unit"}),
    }


def _first_work(events: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the events up to the first finish."""
    kinds = [event["event"] for event in events]
    end = kinds.index("finish") + 1 if "finish" in kinds else len(events)
    return list(events[:end])


def _session_seconds(events: Sequence[Mapping[str, Any]]) -> float:
    """Return the time inside sessions: from each event to the next, unless that begins anew."""
    pairs = pairwise(events)
    return sum((max(b["time"] - a["time"], 0.0) for a, b in pairs if b["event"] != "begin"), 0.0)


def _stages(
    units: Iterable[Unit], made: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return, by stage, all units and images, and what of it was made here."""
    rows: dict[str, dict[str, Any]] = {}
    for unit in units:
        zero = {"units": 0, "cached": 0, "images": 0, "forward_passes": 0, "seconds": 0.0}
        row = rows.setdefault(unit.stage, zero)
        row["units"] += 1
        row["images"] += unit.samples
        if unit.address in made:
            row["forward_passes"] += unit.forward_passes
            row["seconds"] = round(row["seconds"] + made[unit.address]["seconds"], 3)
        else:
            row["cached"] += 1
    return rows
