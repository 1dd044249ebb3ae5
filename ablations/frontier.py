"""Which units can be made next: those whose inputs are there, in the plan's order.

The plan lists inputs just before their readers, so the earliest ready unit is one that finishes
what was begun, and few artefacts wait for a reader at any time.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Sequence

from ablations.units import Unit


class Frontier:
    """The units that are still to be made.

    Args:
        units: all of them, inputs before their readers; what they read besides is there already.
    """

    def __init__(self, units: Sequence[Unit]) -> None:
        self._units = units
        self._rank = {unit.address: rank for rank, unit in enumerate(units)}
        self._readers: dict[str, list[Unit]] = defaultdict(list)
        self._waits_for: Counter[str] = Counter()
        self._unread: Counter[str] = Counter()  # readers to come, by the artefact's address
        for unit in units:
            for address in _inputs(unit):
                self._unread[address] += 1
                if address in self._rank:
                    self._readers[address].append(unit)
                    self._waits_for[unit.address] += 1
        self._ready = [rank for rank, unit in enumerate(units) if not self._waits_for[unit.address]]
        self.left = len(units)

    def take(self) -> Unit | None:
        """Return the next unit to make, None when nothing is ready."""
        return self._units[heapq.heappop(self._ready)] if self._ready else None

    def give_back(self, unit: Unit) -> None:
        """Take a unit back that was not made; it is the next one again."""
        heapq.heappush(self._ready, self._rank[unit.address])

    def finish(self, unit: Unit) -> list[str]:
        """Hear that a unit is made and return the addresses that nobody will read any more."""
        self.left -= 1
        for reader in self._readers[unit.address]:
            self._waits_for[reader.address] -= 1
            if not self._waits_for[reader.address]:
                self.give_back(reader)
        unread = [] if self._unread[unit.address] else [unit.address]
        for address in _inputs(unit):
            self._unread[address] -= 1
            if not self._unread[address]:
                unread.append(address)
        return unread


def _inputs(unit: Unit) -> set[str]:
    return {needed.address for needed in unit.needs()}
