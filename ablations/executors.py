"""Who makes the units: an `Executor`; here the local one, one unit after another."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ablations.units import Unit
from dalle2eval.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A unit whose artefact is in the store.

    Attributes:
        seconds: that it took; 0 when it was there.
        cached: whether it was there already.
        workers: that were at work, this one among them.
        peak_memory_mb: of the process that made it, where that is another one; else 0.
    """

    unit: Unit
    seconds: float
    cached: bool
    workers: int = 1
    peak_memory_mb: int = 0


class UnitError(RuntimeError):
    """A unit cannot be made, however often it is tried; the message names it and says why."""


class Executor(Protocol):
    """Makes units in any order that respects their inputs; equal units give equal artefacts."""

    def run(self, units: Sequence[Unit], store: Store, workshop: Any) -> Iterator[Done]:
        """Yield every unit once its artefact is whole in the store."""


class LocalExecutor:
    """One process, the units in their given order."""

    def run(self, units: Sequence[Unit], store: Store, workshop: Any) -> Iterator[Done]:
        """Yield every unit once its artefact is whole in the store."""
        for unit in units:
            if store.has(unit.address, unit.kind):
                yield Done(unit=unit, seconds=0.0, cached=True)
                continue
            started = time.perf_counter()
            make(unit, store, workshop)
            yield Done(unit=unit, seconds=time.perf_counter() - started, cached=False)


def make(unit: Unit, store: Store, workshop: Any) -> None:
    """Make one unit's artefact from its inputs' artefacts."""
    values = {role: _load_all(units, store, workshop) for role, units in unit.inputs.items()}
    value = unit.perform(workshop, values)
    store.save(unit.address, unit.kind, value, made_of={"stage": unit.stage})


def load(unit: Unit, store: Store, workshop: Any) -> Any:
    """Return a unit's value; an artefact that was lost or damaged meanwhile is made again."""
    value = store.load(unit.address, unit.kind)
    if value is None:
        make(unit, store, workshop)
        value = store.load(unit.address, unit.kind)
    return value


def _load_all(units: Iterable[Unit], store: Store, workshop: Any) -> list[Any]:
    return [load(unit, store, workshop) for unit in units]
