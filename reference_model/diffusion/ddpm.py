"""DDPM (Ho et al. 2020, arXiv 2006.11239): ancestral sampling with a fixed or a learned variance.

Between visited steps the chain is re-spaced (Nichol & Dhariwal 2021, arXiv 2102.09672, §4): beta is
that of the whole jump, 1 - alpha_bar_t / alpha_bar_next.
"""

from __future__ import annotations

import itertools
import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from reference_model.diffusion.ddim import DrawNoise
from reference_model.diffusion.schedule import Schedule
from reference_model.diffusion.targets import Denoiser
from reference_model.timesteps import Steps, timesteps_of

Variance = Literal["posterior", "beta", "learned"]


class Posterior(NamedTuple):
    """q(x_next | x_t, x0): weights of its mean, and its variance."""

    weight_x0: float
    weight_x_t: float
    variance: float


def posterior(alpha_bar: float, alpha_bar_next: float) -> Posterior:
    """Return q(x_next | x_t, x0) as (weight of x0, weight of x_t, variance) (Ho et al., Eq. 7).

    ``alpha_bar_next`` belongs to the less noisy of the two steps, which need not be neighbours.
    """
    alpha = alpha_bar / alpha_bar_next
    beta = 1 - alpha
    weight_x0 = alpha_bar_next**0.5 * beta / (1 - alpha_bar)
    weight_x_t = alpha**0.5 * (1 - alpha_bar_next) / (1 - alpha_bar)
    return Posterior(weight_x0, weight_x_t, beta * (1 - alpha_bar_next) / (1 - alpha_bar))


def learned_log_variance(fraction: Tensor, beta: float, posterior_variance: float) -> Tensor:
    """Return log Sigma, between the posterior's variance and beta (Nichol & Dhariwal, Eq. 15)."""
    return fraction * math.log(beta) + (1 - fraction) * math.log(posterior_variance)


def ddpm(
    denoise: Denoiser,
    schedule: Schedule,
    x_T: Tensor,
    *,
    steps: Steps,
    draw: DrawNoise,
    variance: Variance = "posterior",
) -> Tensor:
    """DDPM (Ho et al. 2020, arXiv 2006.11239, Eq. 7 and §3.2).

    Args:
        denoise: (x_t, t) -> x0_hat, eps_hat, and for ``learned`` the variance fraction.
        schedule: alpha_bar table.
        x_T: unit Gaussian noise, any shape with the batch first.
        steps: exact number of calls of ``denoise``, or the timesteps to visit.
        draw: returns unit noise shaped like x_T.
        variance: of each step: ``posterior`` (right when x0 is a point), ``beta`` (right when x0 is
            unit noise), or ``learned`` between the two.

    Raises:
        ValueError: the variance is ``learned`` and the network has none.
    """
    timesteps = timesteps_of(schedule.num_timesteps, steps)
    x_t = x_T
    for t, t_next in itertools.pairwise(timesteps):
        prediction = denoise(x_t, t)
        alpha_bar, alpha_bar_next = (float(schedule.alpha_bar[i]) for i in (t, t_next))
        step = posterior(alpha_bar, alpha_bar_next)
        mean = step.weight_x0 * prediction.x0_hat + step.weight_x_t * x_t
        beta = 1 - alpha_bar / alpha_bar_next
        std: float | Tensor
        if variance == "learned":
            if prediction.variance_fraction is None:
                raise ValueError("this network has no learned variance; take posterior or beta")
            log_variance = learned_log_variance(prediction.variance_fraction, beta, step.variance)
            std = torch.exp(0.5 * log_variance)
        else:
            std = (step.variance if variance == "posterior" else beta) ** 0.5
        x_t = mean + std * draw()
    return denoise(x_t, timesteps[-1]).x0_hat
