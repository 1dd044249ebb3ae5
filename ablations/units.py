"""Work units: what is to be made, from which other units, and the address of the result.

A unit is idempotent: its value is a function of its identity and its inputs, and its address is the
hash of both. Units of different arms with equal addresses are one, so arms share what they can.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ablations.workshop import Workshop
from dalle2eval.records import fingerprint
from dalle2eval.store import Kind

Values = Mapping[str, Sequence[Any]]  # the inputs' values by role


@dataclass(frozen=True, kw_only=True, eq=False)
class Unit:
    """One piece of work with one artefact.

    Attributes:
        stage: the row of the cost table that it belongs to, such as ``decoder`` or ``features``.
        kind: what it makes.
        samples: how many images (or other items) that are.
        forward_passes: network calls that it takes.
        seconds: yardstick on two CPU cores, until its stage has been measured.
        identity: everything but the inputs that decides the value, as plain JSON data.
        perform: makes the value; a module's function or a partial of one, so that it can travel.
        inputs: the units that it reads, by role.
    """

    stage: str
    kind: Kind
    samples: int
    forward_passes: int = 0
    seconds: float
    identity: Mapping[str, Any]
    perform: Callable[[Workshop, Values], Any]
    inputs: Mapping[str, tuple[Unit, ...]] = field(default_factory=dict)

    @functools.cached_property
    def address(self) -> str:
        """Name the value by what made it."""
        inputs = {role: [unit.address for unit in units] for role, units in self.inputs.items()}
        return fingerprint({"stage": self.stage, "identity": self.identity, "inputs": inputs})

    def needs(self) -> Iterator[Unit]:
        """Yield the units that it reads."""
        for units in self.inputs.values():
            yield from units


def in_order(last: Iterable[Unit]) -> list[Unit]:
    """Return each distinct unit that ``last`` needs, and ``last``, inputs before their readers."""
    ordered: dict[str, Unit] = {}

    def visit(unit: Unit) -> None:
        if unit.address in ordered:
            return
        for needed in unit.needs():
            visit(needed)
        ordered[unit.address] = unit

    for unit in last:
        visit(unit)
    return list(ordered.values())
