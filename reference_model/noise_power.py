"""What Analytic-DPM has to know of a trained network, kept as a part of its weights.

Bao et al. 2022 (arXiv 2201.06503, Eq. 8): the mean square of eps_hat at each timestep belongs to a
trained network and its data; it is estimated once and serves every trajectory. So it is measured
once (`training.noise_power`), at all timesteps, and lies beside the weights with a hash of its own:
a picture stays a function of its arm, prompt, seed and weights.
"""

from __future__ import annotations

import torch
from torch import nn

from reference_model.config import NoisePowerConfig


class NoisePower(nn.Module):
    """The mean square of eps_hat [T] of one network, as a part that is loaded like any other."""

    def __init__(self, config: NoisePowerConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("power", torch.ones(config.num_timesteps))

    def table(self) -> dict[int, float]:
        """Return the power by timestep, as `diffusion.analytic.analytic_dpm` takes it."""
        return dict(enumerate(self.power.tolist()))
