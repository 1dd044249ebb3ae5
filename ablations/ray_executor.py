"""The units of a plan on a Ray cluster: ready ones in parallel, each by a worker that stays.

A worker is an actor: it loads the weights once. Only the driver writes the store, when an
artefact has come whole, so nothing is lost with a worker or its node: what they were making is
made again by another. We give a lost unit to whichever worker is free, in place of Ray's retries,
which would wait for the lost worker to come back; and we count, so that a unit that kills its
workers ends the run with a reason. The bytes are those of a local run: each worker has as many
threads as torch would take here, because sums of floats depend on how many threads share them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ablations.executors import Done, UnitError, load
from ablations.frontier import Frontier
from ablations.ray_cluster import connected, cores
from ablations.ray_crew import Crew, berth, one_line, torch_threads
from ablations.ray_weights import pack
from ablations.ray_worker import Opening, Order, Outcome, current_folder, facts_of
from ablations.units import Unit
from ablations.workshop import Workshop
from dalle2eval.records import InputError
from dalle2eval.store import Store, encode

MOST_FAILURES = 2  # of one unit; what fails twice on other machines fails always
MOST_LOSSES = 4  # of one unit with its worker
LOOK_EVERY_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RayExecutor:
    """Makes units on a Ray cluster.

    Attributes:
        recipe: opens the workshop on any machine; a module's function or a partial of one.
        weights: that the run reads, SHA-256 by name.
        device: ``auto``, ``cpu`` or ``cuda``; with a GPU in the cluster, each worker holds one.
        workers: how many; as many as the cluster has GPUs, or else CPUs for their threads, when
            None.
        address: of the cluster; None starts one on this machine.
    """

    recipe: Callable[[], Workshop]
    weights: Mapping[str, str]
    device: str = "auto"
    workers: int | None = None
    address: str | None = None

    def run(self, units: Sequence[Unit], store: Store, workshop: Any) -> Iterator[Done]:
        """Yield every unit once its artefact is whole in the store.

        Raises:
            InputError: there is no such cluster, its nodes hold other code or weights, or a unit
                finds the user's input wrong.
            UnitError: a unit cannot be made, or no worker starts.
        """
        missing = []
        for unit in units:
            if store.has(unit.address, unit.kind):
                yield Done(unit=unit, seconds=0.0, cached=True)
            else:
                missing.append(unit)
        if not missing:
            return
        threads = torch_threads()
        cpus = (self.workers or max(1, cores() // threads)) * threads
        with connected(self.address, cpus) as ray:
            opening = Opening(
                recipe=self.recipe,
                facts=facts_of(self.weights),
                folder=current_folder(),
                parcels=pack(self.weights, ray.put) if self.address else {},
            )
            crew = Crew(ray, opening, berth(ray, self.device, threads), self.workers)
            try:
                yield from _Shift(ray, crew, missing, store, workshop).work()
            finally:
                crew.dismiss()


@dataclass(frozen=True, slots=True)
class _Job:
    unit: Unit
    actor: Any
    content: Any  # reference of the artefact's bytes


class _Shift:
    """One run: units go to free workers, artefacts to the store."""

    def __init__(
        self, ray: Any, crew: Crew, units: Sequence[Unit], store: Store, workshop: Any
    ) -> None:
        self._ray, self._crew, self._store, self._workshop = ray, crew, store, workshop
        self._frontier = Frontier(units)
        self._jobs: dict[Any, _Job] = {}  # by the reference of the outcome
        self._contents: dict[str, Any] = {}  # references of artefacts that will be read, by address
        self._losses: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()

    def work(self) -> Iterator[Done]:
        """Yield each unit when its artefact is in the store."""
        while self._frontier.left:
            self._give_out()
            waited_for = [*self._jobs, *self._crew.starting]
            answers, _ = self._ray.wait(waited_for, timeout=LOOK_EVERY_S)
            self._crew.check_patience()
            for answer in answers:
                if answer in self._jobs:
                    yield from self._take_in(answer)
                else:
                    self._crew.welcome(answer)

    def _give_out(self) -> None:
        while self._crew.free and (unit := self._frontier.take()):
            actor = self._crew.free.pop()
            layout = {role: [u.kind for u in units] for role, units in unit.inputs.items()}
            order = Order(perform=unit.perform, layout=layout, kind=unit.kind)
            made = actor.make.options(num_returns=2)
            outcome, content = made.remote(order, *(self._content(u) for u in unit.needs()))
            self._crew.busy.add(actor)
            self._jobs[outcome] = _Job(unit, actor, content)

    def _content(self, unit: Unit) -> Any:
        """Return the reference of an artefact: the worker's that made it, or the store's copy."""
        if unit.address not in self._contents:
            content = self._store.read(unit.address, unit.kind)
            if content is None:  # lost or damaged meanwhile
                content = encode(unit.kind, load(unit, self._store, self._workshop))
            self._contents[unit.address] = self._ray.put(content)
        return self._contents[unit.address]

    def _take_in(self, answer: Any) -> Iterator[Done]:
        job = self._jobs.pop(answer)
        unit = job.unit
        try:
            outcome, content = self._ray.get([answer, job.content])
        except self._ray.exceptions.RayError as error:
            if not _is_loss(error, self._ray):
                raise UnitError(f"{_name(unit)} cannot be sent: {one_line(error)}") from None
            self._lost(job, error)
            return
        self._crew.busy.discard(job.actor)
        self._crew.free.append(job.actor)
        if outcome.problem:
            self._failed(unit, outcome)
            return
        self._store.keep(unit.address, unit.kind, content, made_of={"stage": unit.stage})
        self._contents[unit.address] = job.content
        for address in self._frontier.finish(unit):
            self._contents.pop(address, None)
        yield Done(
            unit=unit,
            seconds=outcome.seconds,
            cached=False,
            workers=self._crew.present,
            peak_memory_mb=outcome.peak_memory_mb,
        )

    def _lost(self, job: _Job, error: Exception) -> None:
        """Give a unit back whose worker, or whose input's only copy outside the store, is gone."""
        unit = job.unit
        self._losses[unit.address] += 1
        if self._losses[unit.address] > MOST_LOSSES:
            lost = f"was lost with its worker {self._losses[unit.address]} times"
            raise UnitError(f"{_name(unit)} {lost}; the last time: {one_line(error)}")
        for needed in unit.needs():
            self._contents.pop(needed.address, None)  # the next try reads the store's copy
        self._frontier.give_back(unit)
        self._crew.lose(job.actor)

    def _failed(self, unit: Unit, outcome: Outcome) -> None:
        """Give a unit back that went wrong, or say what is wrong with it."""
        if outcome.is_input:
            raise InputError(outcome.problem)
        self._failures[unit.address] += 1
        if self._failures[unit.address] >= MOST_FAILURES:
            times = f"failed {self._failures[unit.address]} times"
            raise UnitError(f"{_name(unit)} {times}, last on {outcome.node}: {outcome.problem}")
        self._frontier.give_back(unit)


def _name(unit: Unit) -> str:
    return f"unit {unit.address[:12]} ({unit.stage}, {unit.samples} samples)"


def _is_loss(error: Exception, ray: Any) -> bool:
    """Say whether a machine is to blame; else the worker's Python could not take the order in."""
    told = isinstance(error, ray.exceptions.RayTaskError)
    return not told or isinstance(error.cause, ray.exceptions.RayError)  # type: ignore[attr-defined]
