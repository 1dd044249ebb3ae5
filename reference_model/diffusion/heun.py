"""Heun's second-order sampler of EDM (Karras et al. 2022, arXiv 2206.00364, Algorithm 1).

EDM steps in sigma, the noise level of x_t / sqrt(alpha_bar); a network of integer timesteps is
asked at the nearest one.
"""

from __future__ import annotations

from torch import Tensor

from reference_model.diffusion.schedule import Schedule
from reference_model.diffusion.targets import Denoiser, Prediction
from reference_model.timesteps import Steps, timesteps_of

SIGMA_MIN, SIGMA_MAX, RHO = 0.002, 80.0, 7.0  # EDM, Table 1


def heun(denoise: Denoiser, schedule: Schedule, x_T: Tensor, *, steps: Steps) -> Tensor:
    """Deterministic second-order sampling; 2 steps - 1 calls of ``denoise``.

    Args:
        denoise: (x_t, t) -> x0_hat, eps_hat.
        schedule: alpha_bar table.
        x_T: unit Gaussian noise, any shape with the batch first.
        steps: number of steps (then `edm_timesteps`), or the timesteps to visit.
    """
    timesteps = (
        edm_timesteps(schedule, steps)
        if isinstance(steps, int)
        else timesteps_of(schedule.num_timesteps, steps)
    )
    x_t = x_T
    for t, t_next in zip(timesteps, [*timesteps[1:], None], strict=True):
        here = denoise(x_t, t)
        if t_next is None:
            return here.x0_hat
        signal_next = float(schedule.alpha_bar[t_next]) ** 0.5
        sigma, sigma_next = float(schedule.sigma[t]), float(schedule.sigma[t_next])
        euler = signal_next * (here.x0_hat + sigma_next * here.eps_hat)
        x_t = signal_next * _corrected(here, denoise(euler, t_next), sigma, sigma_next)
    raise AssertionError("unreachable: the last timestep returns")


def _corrected(here: Prediction, there: Prediction, sigma: float, sigma_next: float) -> Tensor:
    """Return x / sqrt(alpha_bar) after the step: the slope is the mean of both ends' (line 8)."""
    slope = (here.eps_hat + there.eps_hat) / 2
    return here.x0_hat + sigma * here.eps_hat + (sigma_next - sigma) * slope


def edm_timesteps(schedule: Schedule, steps: int, *, sigma_max: float = SIGMA_MAX) -> list[int]:
    """Return the timesteps nearest to EDM's noise levels (Eq. 5), strictly falling.

    Above ``sigma_max`` there is nothing but noise, and a second-order step from there would be led
    by the least exact predictions; so sampling begins at it, where x_t is as good as unit noise.

    Raises:
        ValueError: there are fewer timesteps below ``sigma_max`` than asked for.
    """
    first = int((schedule.sigma - sigma_max).abs().argmin())
    if not 1 <= steps <= first + 1:
        raise ValueError(f"steps is {steps}; allowed: 1 to {first + 1}")
    low, high = max(SIGMA_MIN, float(schedule.sigma[0])), float(schedule.sigma[first])
    chosen = []
    for k in range(steps):
        share = k / max(steps - 1, 1)
        level = (high ** (1 / RHO) + share * (low ** (1 / RHO) - high ** (1 / RHO))) ** RHO
        nearest = int((schedule.sigma - level).abs().argmin())
        below = chosen[-1] - 1 if chosen else first
        # Neither the same timestep twice, nor too low for those that are still to come.
        chosen.append(max(min(nearest, below), steps - 1 - k))
    return chosen
