"""The settings of a system that is not ours, with their ranges; wrong ones are told before work."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dalle2eval.spelling import nearest

MAX_TEXT = 2000  # characters of a setting that is a text


@dataclass(frozen=True, slots=True, kw_only=True)
class Knob:
    """One setting.

    Attributes:
        kind: what its value is.
        default: None where the system has a default of its own; then None is allowed.
        low: smallest number.
        high: largest number.
        allowed: the texts that it may be; any when empty.
        decides: whether it changes the pictures, and so their address in the store.
        means: one line for people.
    """

    kind: type[bool] | type[int] | type[float] | type[str]
    default: bool | int | float | str | None
    means: str
    low: float = -math.inf
    high: float = math.inf
    allowed: tuple[str, ...] = ()
    decides: bool = True

    def check(self, name: str, value: Any) -> Any:
        """Return the value in its kind.

        Raises:
            ValueError: it is of another kind or out of range; says what is allowed.
        """
        if value is None and self.default is None:
            return None
        if self._fits(value):
            return self.kind(value)
        raise ValueError(f"{name} is {str(value)[:80]!r}; allowed: {self.range_text}")

    def _fits(self, value: Any) -> bool:
        if self.kind is bool or isinstance(value, bool):
            return self.kind is bool and isinstance(value, bool)
        if self.kind is str:
            known = not self.allowed or value in self.allowed
            return isinstance(value, str) and known and len(value) <= MAX_TEXT
        if not isinstance(value, int | float) or not math.isfinite(value):
            return False
        whole = self.kind is float or float(value).is_integer()
        return whole and self.low <= value <= self.high

    @property
    def range_text(self) -> str:
        """Say what is allowed."""
        if self.kind is bool:
            return "true, false"
        if self.kind is str:
            return ", ".join(self.allowed) or f"a text of at most {MAX_TEXT} characters"
        noun = "a whole number" if self.kind is int else "a number"
        return f"{noun} from {self.low:.10g} to {self.high:.10g}"


def resolve(knobs: Mapping[str, Knob], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return every setting, with the changes checked and applied.

    Raises:
        ValueError: a setting is unknown (names a near match) or out of its range.
    """
    settings: dict[str, Any] = {name: knob.default for name, knob in knobs.items()}
    for name, value in changes.items():
        if name not in knobs:
            raise ValueError(f"unknown model setting {name!r}{nearest(name, sorted(knobs))}")
        settings[name] = knobs[name].check(name, value)
    return settings


def deciding(knobs: Mapping[str, Knob], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that change the pictures."""
    return {name: settings[name] for name, knob in knobs.items() if knob.decides}
