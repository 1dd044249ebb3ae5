"""Which executors there are, and what each takes; checked before anything else is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ablations.executors import Executor, LocalExecutor
from ablations.workshop import Workshop
from dalle2eval.records import InputError
from dalle2eval.spelling import nearest

LOCAL, RAY = "local", "ray"
ENGINES = (LOCAL, RAY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An executor as a user asks for it.

    Attributes:
        name: ``local`` (one process) or ``ray``.
        workers: at the same time; None for as many as there is room for.
        address: of a Ray cluster; None starts one on this machine.
    """

    name: str = LOCAL
    workers: int | None = None
    address: str | None = None

    def check(self) -> None:
        """Raise InputError when there is no such engine here, or it has no use for an option."""
        if self.name not in ENGINES:
            raise InputError(f'no executor "{self.name}"{nearest(self.name, ENGINES)}')
        if self.workers is not None and self.workers < 1:
            raise InputError(f"--workers {self.workers}: at least 1 is needed")
        if self.name == RAY:
            from ablations.ray_cluster import check_ray

            check_ray()
            return
        if self.workers not in (None, 1) or self.address is not None:
            option = "--ray-address" if self.address is not None else f"--workers {self.workers}"
            raise InputError(f"{option} is of --executor ray; local makes one unit after another")

    def check_training(self) -> None:
        """Raise InputError when this engine does not train the arms of a suite."""
        if self.name != LOCAL:
            raise InputError(f"this suite trains its arms, which --executor {self.name} cannot yet")

    def open(
        self, recipe: Callable[[], Workshop], weights: Mapping[str, str], device: str
    ) -> Executor:
        """Return the executor.

        Args:
            recipe: opens the workshop on any machine.
            weights: that the run reads, SHA-256 by name.
            device: ``auto``, ``cpu`` or ``cuda``.
        """
        if self.name == LOCAL:
            return LocalExecutor()
        from ablations.ray_executor import RayExecutor

        return RayExecutor(
            recipe=recipe,
            weights=weights,
            device=device,
            workers=self.workers,
            address=self.address,
        )
