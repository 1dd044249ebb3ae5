"""Numbers as people read them: as many decimals as the interval supports, the same down a column.

An interval of ±0.34 makes the third decimal noise, so the half-width decides: two
significant digits of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from dalle2eval.records import Comparison, Estimate
from reports.run_record import RunRecord
from reports.wording import wording

MINUS = "\N{MINUS SIGN}"
MAX_DECIMALS = 6
Number = Estimate | Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberStyle:
    """How a metric's numbers are printed: times ``factor``, ``decimals`` digits, ``unit``."""

    factor: float = 1.0
    decimals: int = 3
    unit: str = ""

    def plain(self, value: float) -> str:
        """Return the bare number with a true minus sign."""
        text = f"{value * self.factor:.{self.decimals}f}"
        if float(text) == 0:
            text = text.removeprefix("-")
        return text.replace("-", MINUS)

    def value(self, value: float) -> str:
        """Return the number with its unit."""
        return self.plain(value) + self.unit

    def signed(self, value: float) -> str:
        """Return a difference with its sign."""
        text = self.plain(value)
        return text if text.startswith(MINUS) or value <= 0 else f"+{text}"

    def interval(self, low: float | None, high: float | None) -> str:
        """Return ``[low, high]``; empty when there is none."""
        if low is None or high is None:
            return ""
        return f"[{self.plain(low)}, {self.plain(high)}]"


def style_for(run: RunRecord, metric: str) -> NumberStyle:
    """Return the style that suits every number of a metric in this run."""
    estimates = [e for (_, m, _), e in run.estimates.items() if m == metric]
    comparisons = [c for c in run.comparisons if c.metric == metric]
    share = wording(metric).share
    factor = 100.0 if share else 1.0
    unit = "%" if share else next((f" {e.unit}" for e in estimates if e.unit), "")
    decimals = _decimals([h * factor for h in _half_widths([*estimates, *comparisons])])
    return NumberStyle(factor=factor, decimals=min(decimals, 1) if share else decimals, unit=unit)


def _half_widths(numbers: Iterable[Number]) -> list[float]:
    return [(n.high - n.low) / 2 for n in numbers if n.low is not None and n.high is not None]


def _decimals(half_widths: list[float]) -> int:
    wide = [h for h in half_widths if h > 0]
    if not wide:
        return 3
    return min(MAX_DECIMALS, max(0, 1 - math.floor(math.log10(median(wide)))))


def duration(seconds: float | None) -> str:
    """Return seconds as ``4 min 31 s``."""
    if seconds is None:
        return "not measured"
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
