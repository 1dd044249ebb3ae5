"""What it means, in geometry, that one object stands left of, above, on top of or inside another.

The rules are those of `layout.py`: at most one relation holds from one object to another. `on top
of` touches where `above` leaves a gap; `inside` is one outline within the other.
"""

from __future__ import annotations

from dalle2eval.scenes.layout import Placed, extent

TOUCHING = 0.02  # of the picture's side: layouts leave 0 for `on top of` and >= 0.04 for `above`
SUNK = 0.10  # overlap up to which one still stands on top of the other
LEANING = 1.2  # the main direction exceeds the other one by this factor
INSIDE_RADIUS = 0.7  # of the outer radius, at most


def relation_between(first: Placed, second: Placed) -> str | None:
    """Return the relation that holds from the first to the second, or None when none does."""
    if _inside(first, second):
        return "inside"
    dx, dy = second.x - first.x, second.y - first.y
    if _inside(second, first) or 1 / LEANING < abs(dx) / max(abs(dy), 1e-9) < LEANING:
        return None
    if abs(dx) > abs(dy):
        return "left of" if dx > 0 else "right of"
    return _vertical(first, second) if dy > 0 else _from_below(second, first)


def _vertical(upper: Placed, lower: Placed) -> str | None:
    gap = _gap(upper, lower)
    if gap > TOUCHING:
        return "above"
    return "on top of" if gap > -SUNK else None


def _from_below(upper: Placed, lower: Placed) -> str | None:
    return "below" if _gap(upper, lower) > TOUCHING else None


def _inside(inner: Placed, outer: Placed) -> bool:
    apart = max(abs(inner.x - outer.x), abs(inner.y - outer.y))
    return (
        inner.radius < INSIDE_RADIUS * outer.radius and apart + inner.radius / 2 < outer.radius / 2
    )


def _gap(upper: Placed, lower: Placed) -> float:
    """Return the height of the gap between the upper one's foot and the lower one's head."""
    foot = upper.y + extent(upper.shape)[1] * upper.radius
    head = lower.y - extent(lower.shape)[0] * lower.radius
    return head - foot
