"""What a Ray worker does: it opens the workshop once, then makes one unit after another.

It reads no store and writes none. Inputs come and artefacts go as the bytes that a store keeps;
only the driver puts them there, so a worker that dies half-way leaves nothing behind.
"""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ablations.ray_weights import Parcels, unpack
from ablations.tasks import source_hash
from ablations.workshop import Workshop
from dalle2eval.allocator import keep_freed_memory
from dalle2eval.records import InputError
from dalle2eval.store import Kind, decode, encode

PACKAGES = ("dalle2eval", "ablations", "reference_model")
DECISIVE = ("torch", "numpy", "pillow")  # libraries that decide the bytes of an artefact

Layout = Mapping[str, Sequence[Kind]]  # of a unit's inputs: their kinds by role


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A unit as it travels: what to do, with inputs of which kinds, into which kind."""

    perform: Callable[[Workshop, Mapping[str, Sequence[Any]]], Any]
    layout: Layout
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a unit went.

    Attributes:
        problem: why it could not be made; empty when it was.
        is_input: whether the user's input is to blame, so that trying again is of no use.
    """

    node: str
    seconds: float = 0.0
    peak_memory_mb: int = 0
    problem: str = ""
    is_input: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What a worker needs to begin.

    Attributes:
        recipe: opens the workshop, on the machine where it is called.
        facts: see `facts_of`; of the driver, and the worker's must be the same.
        folder: the driver's, in which relative names of image folders are meant.
        parcels: weights that the node may lack.
    """

    recipe: Callable[[], Workshop]
    facts: Mapping[str, str]
    folder: str
    parcels: Parcels


def facts_of(weights: Mapping[str, str]) -> dict[str, str]:
    """Return what must be the same on every machine, or an artefact would lie under a wrong name.

    A library's local version (``+cpu``, ``+cu128``) may differ: a driver needs no GPU.

    Args:
        weights: SHA-256 by name.
    """
    return {
        "code": source_hash(*PACKAGES)[:12],
        "python": ".".join(platform.python_version_tuple()[:2]),
        **{name: version(name).partition("+")[0] for name in DECISIVE},
        **{f"weights {name}": digest[:12] for name, digest in weights.items()},
    }


class Maker:
    """One worker; the driver makes it a Ray actor."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening

    def open(self) -> Outcome:
        """Open the workshop and hold it against the driver's."""
        keep_freed_memory()
        with suppress(OSError):
            os.chdir(self._opening.folder)
        unpack(self._opening.parcels)
        try:
            self._workshop = self._opening.recipe()
            used = (self._workshop.model, self._workshop.judge)
        except InputError as error:
            return Outcome(node=node_name(), problem=str(error))
        own, here = facts_of({one.name: one.weights for one in used}), self._opening.facts
        differ = [
            f"{name} {own[name]}, here {here[name]}" for name in own if own[name] != here[name]
        ]
        advice = "; every node needs the same" if differ else ""
        return Outcome(node=node_name(), problem=", ".join(differ) + advice)

    def make(self, order: Order, *contents: bytes) -> tuple[Outcome, bytes]:
        """Make one unit from its inputs' bytes; what goes wrong is told, not raised."""
        started = time.perf_counter()
        try:
            values = _decoded(order.layout, contents)
            content = encode(order.kind, order.perform(self._workshop, values))
        except Exception as error:
            told = isinstance(error, InputError)
            problem = str(error) if told else f"{type(error).__name__}: {error}"
            return Outcome(node=node_name(), problem=problem, is_input=told), b""
        seconds = time.perf_counter() - started
        return Outcome(node=node_name(), seconds=seconds, peak_memory_mb=_peak_memory_mb()), content


def node_name() -> str:
    """Return the name of this machine."""
    return platform.node() or "?"


def _decoded(layout: Layout, contents: Sequence[bytes]) -> dict[str, list[Any]]:
    rest = iter(contents)
    return {role: [decode(kind, next(rest)) for kind in kinds] for role, kinds in layout.items()}


def _peak_memory_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def current_folder() -> str:
    """Return the folder in which the driver works."""
    return str(Path.cwd())
