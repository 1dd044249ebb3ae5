"""Numbers as people read them: as many decimals as the interval supports, the same down a column.

An interval of ±0.34 makes the third decimal noise, so the half-width decides: two
significant digits of it. Paired differences have narrower intervals, and so more decimals.
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
    """How a metric's numbers are printed.

    Attributes:
        percent: whether values are shares, printed in percent (their differences in points).
        decimals: of a value; ``fine_decimals`` of a difference.
    """

    percent: bool = False
    decimals: int = 3
    fine_decimals: int = 3

    def value(self, value: float) -> str:
        """Return a value, in percent where it is a share."""
        return self._plain(value, self.decimals) + "%" * self.percent

    def interval(self, low: float | None, high: float | None) -> str:
        """Return ``[low, high]`` of a value; empty when there is none."""
        return self._interval(low, high, self.decimals)

    def difference(self, comparison: Comparison) -> str:
        """Return a difference with its sign and interval; empty when there is none."""
        if comparison.difference is None:
            return ""
        text = self._plain(comparison.difference, self.fine_decimals)
        positive = any(digit in "123456789" for digit in text) and not text.startswith(MINUS)
        interval = self._interval(comparison.low, comparison.high, self.fine_decimals)
        return f"{'+' * positive}{text} {interval}"

    def _interval(self, low: float | None, high: float | None, decimals: int) -> str:
        if low is None or high is None:
            return ""
        return f"[{self._plain(low, decimals)}, {self._plain(high, decimals)}]"

    def _plain(self, value: float, decimals: int) -> str:
        """Return the bare number with a true minus sign, and none before a zero."""
        text = f"{value * (100 if self.percent else 1):.{decimals}f}"
        if float(text) == 0:
            text = text.removeprefix("-")
        return text.replace("-", MINUS)


def style_for(run: RunRecord, metric: str) -> NumberStyle:
    """Return the style that suits every number of a metric in this run."""
    estimates = [e for (_, m, _), e in run.estimates.items() if m == metric]
    comparisons = [c for c in run.comparisons if c.metric == metric]
    percent = wording(metric).share
    factor, most = (100.0, 1) if percent else (1.0, MAX_DECIMALS)
    decimals = _decimals([h * factor for h in _half_widths(estimates)], most)
    narrow = [h * factor for h in _half_widths(comparisons)]
    fine = max(decimals, _decimals(narrow, most)) if any(narrow) else decimals
    return NumberStyle(percent=percent, decimals=decimals, fine_decimals=fine)


def _half_widths(numbers: Iterable[Number]) -> list[float]:
    return [(n.high - n.low) / 2 for n in numbers if n.low is not None and n.high is not None]


def _decimals(half_widths: list[float], most: int) -> int:
    wide = [h for h in half_widths if h > 0]
    if not wide:
        return min(most, 3)
    return min(most, max(0, 1 - math.floor(math.log10(median(wide)))))


def duration(seconds: float | None) -> str:
    """Return seconds as ``4 min 31 s``."""
    if seconds is None:
        return "not measured"
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
