"""Which timesteps Karlo's networks are asked at."""

from __future__ import annotations

from reference_model.timesteps import Steps, strided


def spaced(sampler: str, num_timesteps: int, steps: int) -> Steps:
    """Return Karlo's strided timesteps; Heun goes by noise levels of its own."""
    return steps if sampler == "heun" else strided(num_timesteps, steps)
