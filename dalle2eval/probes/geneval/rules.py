"""GenEval's rules: from what a detector found in a picture to right or wrong.

Ghosh et al. 2023 (arXiv 2310.11513, §3). A prompt asks for groups of objects (``include``) and
forbids others (``exclude``). The groups are asked in turn:

    counting   of a class, at least ``count`` are found and fewer than the excluded number
    colours    of the ``count`` surest of a class, ``count`` have the colour
    position   each of the ``count`` surest stands so to each of another group's

Positions compare centres, after each offset was shortened by a tenth of the two sides: boxes that
nearly share a column are neither left nor right of each other. More than half of the offset's
length must lie in the direction asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dalle2eval.probes.detection import Box, Found

POSITION_MARGIN = 0.1  # of the sum of both sides
MAIN_DIRECTION = 0.5  # of the offset's length
MOST_OBJECTS = 16  # of a class: the surest ones


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a picture is right, and what is wrong with it otherwise."""

    right: bool
    wrong: tuple[str, ...]


NameColours = Callable[[Sequence[Found]], Sequence[str]]
"""Names the colour of each found object."""


def judge(task: Mapping[str, Any], found: Sequence[Found], colours_of: NameColours) -> Verdict:
    """Return whether what was found is what the task asks for.

    Args:
        task: ``include`` and ``exclude``, as `dalle2eval.prompts.geneval` reads them.
        found: everything above the detector's threshold, of every class asked about.
        colours_of: asked only where the task names a colour.
    """
    surest = sorted(found, key=lambda item: -item.confidence)
    by_class: dict[str, list[Found]] = {}
    for item in surest:
        by_class.setdefault(item.label, []).append(item)
    groups: list[list[Found] | None] = []
    wrong: list[str] = []
    for asked in task["include"]:
        known = by_class.get(asked["class"], [])[:MOST_OBJECTS]
        complaint = _complaint(asked, known, groups, colours_of)
        wrong += [complaint] if complaint else []
        groups.append(None if complaint else known[: asked["count"]])
    for asked in task.get("exclude", ()):
        number = len(by_class.get(asked["class"], [])[:MOST_OBJECTS])
        if number >= asked["count"]:
            wrong.append(f"{number} of {asked['class']}, fewer than {asked['count']} asked for")
    return Verdict(not wrong, tuple(wrong))


def _complaint(
    asked: Mapping[str, Any],
    known: Sequence[Found],
    groups: Sequence[Sequence[Found] | None],
    colours_of: NameColours,
) -> str | None:
    name, count = asked["class"], asked["count"]
    if len(known) < count:
        return f"{len(known)} of {name}, {count} asked for"
    group = known[:count]
    if "color" in asked:
        colours = list(colours_of(group))
        if colours.count(asked["color"]) < count:
            return f"{name} is {', '.join(colours)}, not {asked['color']}"
    if "position" in asked:
        relation, index = asked["position"]
        return _misplaced(name, group, relation, groups[index])
    return None


def _misplaced(
    name: str, group: Sequence[Found], relation: str, others: Sequence[Found] | None
) -> str | None:
    if others is None:
        return f"there is nothing right that {name} could be {relation}"
    for item in group:
        for other in others:
            true = relations(item.box, other.box)
            if relation not in true:
                shown = " and ".join(sorted(true)) or "beside itself in no direction"
                return f"{name} is {shown}, not {relation}"
    return None


def relations(first: Box, second: Box) -> frozenset[str]:
    """Return how the first box stands to the second: left of, right of, above, below, or nothing.

    >>> sorted(relations((0, 0, 10, 10), (30, 0, 40, 10)))
    ['left of']
    """
    corners = np.array([first, second], float).reshape(2, 2, 2)  # box, corner, axis
    centres, sides = corners.mean(axis=1), corners[:, 1] - corners[:, 0]
    offset = centres[0] - centres[1]
    clear = np.maximum(np.abs(offset) - POSITION_MARGIN * sides.sum(axis=0), 0) * np.sign(offset)
    if not clear.any():
        return frozenset()
    dx, dy = clear / np.linalg.norm(offset)
    directions = {"left of": -dx, "right of": dx, "above": -dy, "below": dy}
    return frozenset(name for name, share in directions.items() if share > MAIN_DIRECTION)
