"""Run by torchrun in tests/test_training_passes.py: train tiny parts and write their logs."""

import contextlib
import sys
from pathlib import Path

from dalle2eval.scenes.training_data import SceneSource
from reference_model.training import train
from reference_model.training.loop import Loop

STAGES = (
    "clip", "prior", "decoder", "upsampler-256",
    "prior-ar", "classifier", "decoder-imagen", "upsampler-256-efficient",
)  # fmt: skip
RESUMED = ("clip", "prior")
SMALL = {
    "loop.steps": 4,
    "loop.batch_size": 8,
    "loop.log_every": 1,
    "loop.checkpoint_every": 2,
    "loop.warmup_steps": 1,
    "loop.bf16": False,
    "loop.compiled": False,
    # Muon makes every direction of a gradient equally long, those of rounding errors too.
    "loop.matrix_learning_rate": 0,
    "embeddings": 64,
}


def run(out, stages=STAGES, **changes):
    for stage in stages:
        train(
            "scenes",
            SceneSource,
            stage=stage,
            work=out / "work",
            out=out,
            preset="tiny",
            changes={**SMALL, **_for(stage, changes)},
        )


def _for(stage, changes):
    """FSDP2 cannot share out CLIP's temperature, a scalar."""
    left_out = ("parallel",) if stage == "clip" else ()
    return {f"loop.{name}": value for name, value in changes.items() if name not in left_out}


def killed_and_resumed(out, stage, **changes):
    """Stop a stage in its last step, behind a checkpoint, and call it again."""
    step = Loop._train_step

    def killed(loop):
        if loop.step == SMALL["loop.steps"] - 1:
            raise KeyboardInterrupt
        return step(loop)

    Loop._train_step = killed
    with contextlib.suppress(KeyboardInterrupt):
        run(out, (stage,), **changes)
    Loop._train_step = step
    run(out, (stage,), **changes)


if __name__ == "__main__":
    for kind in ("ddp", "fsdp"):
        run(Path(sys.argv[1]) / kind, parallel=kind, accumulate=2)
        for one in RESUMED:
            killed_and_resumed(
                Path(sys.argv[1]) / f"{kind}-resumed", one, parallel=kind, accumulate=2
            )
