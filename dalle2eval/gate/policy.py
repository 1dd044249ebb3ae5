"""What gates, and how much worse is too much.

A degradation is called a regression only when it is significant *and* exceeds an absolute *and*
a relative floor: a significant trifle must not stop a merge. The floors below are for metrics whose
noise nobody has measured yet; `gate calibrate` replaces them by what this machine shows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dalle2eval.metrics import METRICS, MetricInfo
from dalle2eval.spelling import nearest

# Shown, never gating: each repeats another metric's question with more noise.
INFORMATIONAL = ("kid_", "cmmd_", "precision_", "recall_", "density_", "coverage_", "text.cer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """The largest degradation that is let pass: ``absolute`` in the metric's unit, or relative.

    A regression must exceed both; the margin under which a pass is proven is the larger of them.
    """

    absolute: float
    relative: float

    def margin(self, baseline: float) -> float:
        """Return the degradation that both floors let pass, in the metric's unit."""
        return max(self.absolute, self.relative * abs(baseline))


DEFAULT_FLOORS = {
    "proportion": Floor(absolute=0.02, relative=0.02),
    "mean": Floor(absolute=0.005, relative=0.01),
}
DISTANCE_FLOOR = Floor(absolute=0.0, relative=0.05)
CLIP_SCORE_FLOOR = Floor(absolute=0.5, relative=0.01)  # in points of 100 x cosine


def floor_for(metric: MetricInfo) -> Floor:
    """Return the floor of a metric that was not calibrated."""
    if metric.name == "clip_score":
        return CLIP_SCORE_FLOOR
    return DEFAULT_FLOORS.get(metric.estimator, DISTANCE_FLOOR)


def floors_from(rows: Mapping[str, Any]) -> dict[str, Floor]:
    """Return the floors of a file, ``{metric: [absolute, relative]}``.

    Raises:
        ValueError: a metric is unknown (near ones are named), or a floor is not 0 or more.
    """
    floors = {}
    for name, (absolute, relative) in rows.items():
        if name not in METRICS:
            raise ValueError(f"floor of the metric {name!r}{nearest(name, METRICS)}")
        ends = float(absolute), float(relative)
        if not all(math.isfinite(end) and end >= 0 for end in ends):
            raise ValueError(f"the floor of {name} is {list(ends)}; allowed: 0 or more")
        floors[name] = Floor(absolute=ends[0], relative=ends[1])
    return floors


def gates(metric: MetricInfo) -> bool:
    """Say whether a metric can fail a build: it has a good direction, and is not informational."""
    return metric.higher_is_better is not None and not metric.name.startswith(INFORMATIONAL)
