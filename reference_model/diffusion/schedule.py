"""Noise schedules: the cumulative signal power alpha_bar at each of T integer steps.

cosine: Nichol & Dhariwal 2021 (arXiv 2102.09672), Eq. 17. linear: Ho et al. 2020 (arXiv 2006.11239)
    §4.
Step 0 is the least noisy, T-1 the most. Tables are float64.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from reference_model.config import ScheduleName

MAX_BETA = 0.999  # Nichol & Dhariwal: no step may destroy everything


def _cosine_betas(num_timesteps: int) -> Tensor:
    def alpha_bar(s: Tensor) -> Tensor:
        return torch.cos((s + 0.008) / 1.008 * math.pi / 2) ** 2

    s = torch.arange(num_timesteps + 1, dtype=torch.float64) / num_timesteps
    return (1 - alpha_bar(s[1:]) / alpha_bar(s[:-1])).clamp(max=MAX_BETA)


def _linear_betas(num_timesteps: int) -> Tensor:
    # 1e-4 to 0.02 at T = 1000, scaled so that other T end at the same noise level.
    scale = 1000 / num_timesteps
    return torch.linspace(1e-4 * scale, 0.02 * scale, num_timesteps, dtype=torch.float64).clamp(
        max=MAX_BETA
    )


class Schedule:
    """The table alpha_bar [T], float64, strictly decreasing.

    Args:
        name: ``cosine`` or ``linear``.
        num_timesteps: T.
    """

    def __init__(self, name: ScheduleName, num_timesteps: int = 1000) -> None:
        betas = {"cosine": _cosine_betas, "linear": _linear_betas}[name](num_timesteps)
        self.name = name
        self.num_timesteps = num_timesteps
        self.alpha_bar = torch.cumprod(1 - betas, dim=0)

    @property
    def sigma(self) -> Tensor:
        """Noise level of Karras et al. [T]: the noise in x_t / sqrt(alpha_bar)."""
        return ((1 - self.alpha_bar) / self.alpha_bar).sqrt()

    def at(self, t: Tensor, like: Tensor) -> Tensor:
        """Return alpha_bar [b, 1, ...] for steps t [b], shaped and typed to multiply ``like``."""
        values = self.alpha_bar.to(t.device)[t]
        return values.to(like.dtype).view(-1, *[1] * (like.ndim - 1))
