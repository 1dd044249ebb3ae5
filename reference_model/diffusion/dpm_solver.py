"""DPM-Solver++(2M) (Lu et al. 2022, arXiv 2211.01095): second order for one call a step."""

from __future__ import annotations

import itertools
import math

from torch import Tensor

from reference_model.diffusion.schedule import Schedule
from reference_model.diffusion.targets import Denoiser
from reference_model.timesteps import Steps, timesteps_of


def dpm_solver_2m(denoise: Denoiser, schedule: Schedule, x_T: Tensor, *, steps: Steps) -> Tensor:
    """Multistep data-prediction solver in half-log-SNR lambda (Algorithm 2); deterministic.

    The first step is of first order, for want of a past; so is the last, to x0, where lambda is
    infinite.

    Args:
        denoise: (x_t, t) -> x0_hat, eps_hat.
        schedule: alpha_bar table.
        x_T: unit Gaussian noise, any shape with the batch first.
        steps: exact number of calls of ``denoise``, or the timesteps to visit.
    """
    timesteps = timesteps_of(schedule.num_timesteps, steps)
    x_t, x0_before, h_before = x_T, None, 0.0
    for t, t_next in itertools.pairwise(timesteps):
        x0_hat = denoise(x_t, t).x0_hat
        alpha_bar, alpha_bar_next = (float(schedule.alpha_bar[i]) for i in (t, t_next))
        h = _half_log_snr(alpha_bar_next) - _half_log_snr(alpha_bar)
        towards = x0_hat
        if x0_before is not None:
            r = h_before / h
            towards = (1 + 1 / (2 * r)) * x0_hat - 1 / (2 * r) * x0_before
        shrink = ((1 - alpha_bar_next) / (1 - alpha_bar)) ** 0.5
        x_t = shrink * x_t - alpha_bar_next**0.5 * math.expm1(-h) * towards
        x0_before, h_before = x0_hat, h
    return denoise(x_t, timesteps[-1]).x0_hat


def _half_log_snr(alpha_bar: float) -> float:
    return 0.5 * math.log(alpha_bar / (1 - alpha_bar))
