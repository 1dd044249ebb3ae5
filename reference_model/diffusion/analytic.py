"""Analytic-DPM (Bao et al. 2022, arXiv 2201.06503): the optimal variance of each reverse step.

The paper samples its prior with it (Ramesh et al. 2022, App. C: 64 strided steps). The variance
that minimises the KL to the true reverse chain depends on one number a timestep, the mean square of
the predicted noise, which is measured once on data.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from torch import Tensor

from reference_model.diffusion.ddim import DrawNoise
from reference_model.diffusion.ddpm import posterior
from reference_model.diffusion.schedule import Schedule
from reference_model.diffusion.targets import Denoiser, q_sample
from reference_model.timesteps import Steps, timesteps_of


def analytic_dpm(
    denoise: Denoiser,
    schedule: Schedule,
    x_T: Tensor,
    *,
    steps: Steps,
    draw: DrawNoise,
    noise_power: Mapping[int, float],
) -> Tensor:
    """Sample with the analytic variance (Theorem 1), the posterior's mean and DDPM's lambda.

    Args:
        denoise: (x_t, t) -> x0_hat, eps_hat.
        schedule: alpha_bar table.
        x_T: unit Gaussian noise, any shape with the batch first.
        steps: exact number of calls of ``denoise``, or the timesteps to visit.
        draw: returns unit noise shaped like x_T.
        noise_power: of `measure_noise_power`, for each visited timestep.

    Raises:
        ValueError: a visited timestep has no measured power.
    """
    timesteps = timesteps_of(schedule.num_timesteps, steps)
    if missing := [t for t in timesteps if t not in noise_power]:
        raise ValueError(f"no noise power was measured at timestep {missing[0]}")
    x_t = x_T
    for t, t_next in itertools.pairwise(timesteps):
        prediction = denoise(x_t, t)
        alpha_bar, alpha_bar_next = (float(schedule.alpha_bar[i]) for i in (t, t_next))
        step = posterior(alpha_bar, alpha_bar_next)
        variance = analytic_variance(alpha_bar, alpha_bar_next, noise_power[t])
        x_t = step.weight_x0 * prediction.x0_hat + step.weight_x_t * x_t + variance**0.5 * draw()
    return denoise(x_t, timesteps[-1]).x0_hat


def analytic_variance(alpha_bar: float, alpha_bar_next: float, power: float) -> float:
    """Return the optimal variance of a step (Theorem 1, Eq. 7).

    sigma*^2 = lambda^2 + (sqrt((1 - alpha_bar) / alpha) - sqrt(1 - alpha_bar_next - lambda^2))^2
    (1 - (1 - alpha_bar) Gamma), where (1 - alpha_bar) Gamma is the mean square of eps_hat. A
    measured power above 1 (Monte Carlo error) counts as 1, the bound of their Theorem 2.
    """
    alpha, lambda_2 = alpha_bar / alpha_bar_next, posterior(alpha_bar, alpha_bar_next).variance
    spread = ((1 - alpha_bar) / alpha) ** 0.5 - max(1 - alpha_bar_next - lambda_2, 0.0) ** 0.5
    return lambda_2 + spread**2 * (1 - min(power, 1.0))


def measure_noise_power(
    denoise: Denoiser, schedule: Schedule, x0: Tensor, *, steps: Steps, draw: DrawNoise
) -> dict[int, float]:
    """Return the mean square of eps_hat at each visited timestep, over data x0 [n, ...] (Eq. 8).

    Args:
        denoise: (x_t, t) -> x0_hat, eps_hat, with the conditions of these x0.
        schedule: alpha_bar table.
        x0: clean data, a few thousand entries or more.
        steps: as the sampler will use.
        draw: returns unit noise shaped like x0.
    """
    power = {}
    for t in timesteps_of(schedule.num_timesteps, steps):
        alpha_bar = schedule.alpha_bar[t].to(x0.device, x0.dtype)
        power[t] = float(denoise(q_sample(x0, draw(), alpha_bar), t).eps_hat.square().mean())
    return power
