"""Samplers: one plain function each, from pure noise x_T to x0, and the table of their names.

Each takes a `Denoiser` (x_t, t) -> x0_hat, eps_hat; the last move always goes to x0. The models
choose one by name through `sample`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from reference_model.diffusion.analytic import analytic_dpm, measure_noise_power
from reference_model.diffusion.ddim import DrawNoise, ddim, ddim_invert
from reference_model.diffusion.ddpm import ddpm, posterior
from reference_model.diffusion.dpm_solver import dpm_solver_2m
from reference_model.diffusion.heun import heun
from reference_model.diffusion.schedule import Schedule
from reference_model.diffusion.targets import Denoiser
from reference_model.timesteps import Steps

__all__ = [
    "ANALYTIC_DPM",
    "SAMPLERS",
    "DrawNoise",
    "Sampler",
    "analytic",
    "analytic_dpm",
    "ddim",
    "ddim_invert",
    "ddpm",
    "dpm_solver_2m",
    "heun",
    "measure_noise_power",
    "posterior",
    "sample",
]

Sampler = Callable[[Denoiser, Schedule, Tensor, Steps, DrawNoise], Tensor]

ANALYTIC_DPM = "analytic-dpm"

# Analytic-DPM is not here: it needs a measurement on data, which a name cannot carry; see
# `analytic`.
SAMPLERS: dict[str, Sampler] = {
    "ddim": lambda denoise, schedule, x_T, steps, _: ddim(denoise, schedule, x_T, steps=steps),
    "ddpm": lambda denoise, schedule, x_T, steps, draw: ddpm(
        denoise, schedule, x_T, steps=steps, draw=draw
    ),
    "ddpm-learned": lambda denoise, schedule, x_T, steps, draw: ddpm(
        denoise, schedule, x_T, steps=steps, draw=draw, variance="learned"
    ),
    "dpm-solver++2m": lambda denoise, schedule, x_T, steps, _: dpm_solver_2m(
        denoise, schedule, x_T, steps=steps
    ),
    "heun": lambda denoise, schedule, x_T, steps, _: heun(denoise, schedule, x_T, steps=steps),
}


def analytic(noise_power: Mapping[int, float]) -> Sampler:
    """Return Analytic-DPM with the noise power that was measured for a network."""
    return lambda denoise, schedule, x_T, steps, draw: analytic_dpm(
        denoise, schedule, x_T, steps=steps, draw=draw, noise_power=noise_power
    )


def sample(
    sampler: str | Sampler,
    denoise: Denoiser,
    schedule: Schedule,
    x_T: Tensor,
    *,
    steps: Steps,
    draw: DrawNoise,
    eta: float = 0.0,
) -> Tensor:
    """Run a sampler.

    Args:
        sampler: a name of `SAMPLERS`, or what `analytic` returns.
        denoise: (x_t, t) -> x0_hat, eps_hat.
        schedule: alpha_bar table.
        x_T: unit Gaussian noise, any shape with the batch first.
        steps: of the sampler, or the timesteps to visit.
        draw: returns unit noise shaped like x_T; asked only by samplers that are stochastic.
        eta: DDIM's share of fresh noise.

    Raises:
        ValueError: eta is not 0 and the sampler is not DDIM.
    """
    if eta and sampler != "ddim":
        name = sampler if isinstance(sampler, str) else ANALYTIC_DPM
        raise ValueError(f"eta is {eta}; it is of ddim, so with {name} set it 0")
    if eta:
        return ddim(denoise, schedule, x_T, steps=steps, eta=eta, draw=draw)
    run = SAMPLERS[sampler] if isinstance(sampler, str) else sampler
    return run(denoise, schedule, x_T, steps, draw)
