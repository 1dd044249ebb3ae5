"""Fakes that die, wait and fail on Ray workers; how they go is decided by files in one folder."""

import os
import signal
import time
from pathlib import Path

from fake_model import FakeJudge, FakeModel, FakeProbe

from ablations.ray_executor import RayExecutor
from ablations.workshop import Workshop
from dalle2eval.records import InputError

SIGNS = "DALLE2EVAL_TEST_SIGNS"  # the folder; the workers inherit the variable
WAIT_S = 60


class DoomedModel(FakeModel):
    """Draws like `FakeModel` and does what lies as a file in the folder of signs.

    ``kill``: the first worker that draws kills itself half-way. ``hold-NODE``: a worker on that
    node says ``held`` and draws on only when the file is gone. ``break``, ``refuse``: every try
    fails. ``die``: every worker that draws dies.
    """

    def run_stage(self, stage, prompts, noise_keys, previous):
        if stage.name == "decoder":
            self._obey(Path(os.environ[SIGNS]))
        return super().run_stage(stage, prompts, noise_keys, previous)

    def _obey(self, signs):
        import ray

        told = {path.name for path in signs.iterdir()}
        if "kill" in told or "die" in told:
            (signs / f"killed-{os.getpid()}").touch()
            (signs / "kill").unlink(missing_ok=True)
            os.kill(os.getpid(), signal.SIGKILL)
        hold = signs / f"hold-{ray.get_runtime_context().get_node_id()}"
        if hold.name in told:
            (signs / "held").touch()
            give_up = time.monotonic() + WAIT_S
            while hold.exists() and time.monotonic() < give_up:
                time.sleep(0.05)
        if "break" in told:
            raise ValueError("the decoder is broken")
        if "refuse" in told:
            raise InputError("the picture is not there")


def doomed_workshop():
    """Return a workshop of fakes; the recipe that travels to the workers."""
    model = DoomedModel()
    return Workshop(
        open_model=lambda: model, open_judge=FakeJudge, probes={"composition": FakeProbe()}
    )


def ray_executor(**options):
    weights = {"fake": FakeModel().weights, "scenes": FakeJudge.weights}
    return RayExecutor(**{"recipe": doomed_workshop, "weights": weights, **options})
