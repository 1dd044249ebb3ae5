"""The workers of a Ray cluster: hired, welcomed when they have loaded, replaced when lost."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ablations.executors import UnitError
from ablations.ray_worker import Maker, Opening, Outcome
from dalle2eval.records import InputError

MOST_FALSE_STARTS = 3  # of workers in a row, besides as many as there should be
START_LIMIT_S = 600.0  # without any worker; a cluster that grows takes minutes for a machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Berth:
    """What a worker takes of a machine."""

    cpus: int
    gpus: int
    threads: int

    def __str__(self) -> str:
        """Return it for people."""
        return f"{self.cpus} CPUs" + (f" and {self.gpus} GPU" if self.gpus else "")

    def number_in(self, resources: Mapping[str, float]) -> int:
        """Return how many a cluster has, by its resources; by its GPUs where they are needed."""
        if self.gpus:
            return int(resources.get("GPU", 0) // self.gpus)
        return int(resources.get("CPU", 0) // self.cpus)

    def options(self) -> dict[str, Any]:
        """Return it as Ray's options for an actor."""
        threads = {"OMP_NUM_THREADS": str(self.threads)}  # before numpy and torch are imported
        environment = {"env_vars": threads}
        return {"num_cpus": self.cpus, "num_gpus": self.gpus, "runtime_env": environment}


def berth(ray: Any, device: str, threads: int) -> Berth:
    """Return what a worker takes: a GPU where one is asked for or there, else CPUs for its threads.

    Args:
        ray: the module, connected.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: of each worker.
    """
    there = ray.cluster_resources().get("GPU", 0) >= 1
    if device == "cuda" or (device == "auto" and there):
        return Berth(cpus=1, gpus=1, threads=threads)
    return Berth(cpus=threads, gpus=0, threads=threads)


def torch_threads() -> int:
    """Return how many threads torch takes here (OMP_NUM_THREADS, else the cores)."""
    import torch

    return int(torch.get_num_threads())


class Crew:
    """The workers: those that start, those that are free, those that are at work.

    Args:
        ray: the module.
        opening: what each needs to begin.
        berth: what each takes of a machine.
        size: how many; as many as the cluster has berths when None.
    """

    def __init__(self, ray: Any, opening: Opening, berth: Berth, size: int | None) -> None:
        self._ray, self._opening, self._berth = ray, ray.put(opening), berth
        self.size = size or max(1, berth.number_in(ray.cluster_resources()))
        self.starting: dict[Any, Any] = {}  # actors by the reference of their answer
        self.free: list[Any] = []
        self.busy: set[Any] = set()
        self._false_starts, self._alone_since = 0, time.monotonic()
        for _ in range(self.size):
            self.hire()

    @property
    def present(self) -> int:
        """Return how many have started and are not lost."""
        return len(self.free) + len(self.busy)

    def hire(self) -> None:
        """Ask for one more; it comes when the cluster has room for it."""
        actor = self._ray.remote(Maker).options(**self._berth.options()).remote(self._opening)
        self.starting[actor.open.remote()] = actor

    def welcome(self, answer: Any) -> None:
        """Take a worker in that has answered, or another in its place."""
        actor = self.starting.pop(answer)
        try:
            outcome: Outcome = self._ray.get(answer)
        except self._ray.exceptions.RayError as error:
            self._false_starts += 1
            if self._false_starts > self.size + MOST_FALSE_STARTS:
                raise UnitError(f"no worker starts: {one_line(error)}") from None
            self.hire()
            return
        if outcome.problem:
            raise InputError(f"the Ray worker on {outcome.node} cannot begin: {outcome.problem}")
        self._false_starts = 0
        self.free.append(actor)

    def lose(self, actor: Any) -> None:
        """Hear that a worker is gone, or cannot be reached; another is asked for."""
        self.busy.discard(actor)
        self._ray.kill(actor)
        self.hire()

    def check_patience(self) -> None:
        """Raise InputError when there has been no worker for too long."""
        if self.present:
            self._alone_since = time.monotonic()
        elif time.monotonic() - self._alone_since > START_LIMIT_S:
            there = self._ray.cluster_resources()
            has = f"{there.get('CPU', 0):g} CPUs and {there.get('GPU', 0):g} GPUs"
            raise InputError(
                f"no Ray worker in {START_LIMIT_S:.0f} s: each needs {self._berth}, the cluster "
                f"has {has}"
            )

    def dismiss(self) -> None:
        """End all workers."""
        for actor in [*self.starting.values(), *self.free, *self.busy]:
            self._ray.kill(actor)


def one_line(error: Exception) -> str:
    """Return the beginning of an error's message on one line."""
    return " ".join(str(error).split())[:300]
