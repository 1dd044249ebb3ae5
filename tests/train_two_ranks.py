"""Run by torchrun in tests/test_training_passes.py: train tiny parts and write their logs."""

import sys
from pathlib import Path

from dalle2eval.scenes.training_data import SceneSource
from reference_model.training import train

STAGES = (
    "clip", "prior", "decoder", "upsampler-256",
    "prior-ar", "classifier", "decoder-imagen", "upsampler-256-efficient",
)  # fmt: skip
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


def run(out, **changes):
    for stage in STAGES:
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


if __name__ == "__main__":
    for kind in ("ddp", "fsdp"):
        run(Path(sys.argv[1]) / kind, parallel=kind, accumulate=2)
