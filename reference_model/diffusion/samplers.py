"""Samplers: one plain function each, from pure noise x_T to x0.

Each takes a `Denoiser` and makes exactly ``steps`` calls of it, the first at T-1, the last move to
x0.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from torch import Tensor

from reference_model.diffusion.schedule import Schedule, respace
from reference_model.diffusion.targets import Denoiser

DrawNoise = Callable[[], Tensor]


def ddim(
    denoise: Denoiser,
    schedule: Schedule,
    x_T: Tensor,
    *,
    steps: int,
    eta: float = 0.0,
    draw: DrawNoise | None = None,
) -> Tensor:
    """DDIM (Song et al. 2021, arXiv 2010.02502, Eq. 12); eta = 0 is deterministic, 1 like DDPM.

    Args:
        denoise: (x_t, t) -> x0_hat, eps_hat.
        schedule: alpha_bar table.
        x_T: unit Gaussian noise, any shape with the batch first.
        steps: exact number of calls of ``denoise``.
        eta: share of the ancestral noise that is put back at each step.
        draw: returns unit noise shaped like x_T; needed when eta > 0.

    Raises:
        ValueError: eta > 0 without ``draw``.
    """
    if eta > 0 and draw is None:
        raise ValueError(f"eta is {eta}: a stochastic DDIM needs draw=, a source of noise")
    timesteps = respace(schedule.num_timesteps, steps)
    x_t = x_T
    for t, t_next in zip(timesteps, [*timesteps[1:], None], strict=True):
        x0_hat, eps_hat = denoise(x_t, t)
        if t_next is None:
            return x0_hat
        alpha_bar, alpha_bar_next = (float(schedule.alpha_bar[i]) for i in (t, t_next))
        # Eq. 16: standard deviation of the noise that is put back.
        std = (
            eta * ((1 - alpha_bar_next) / (1 - alpha_bar) * (1 - alpha_bar / alpha_bar_next)) ** 0.5
        )
        x_t = alpha_bar_next**0.5 * x0_hat + max(1 - alpha_bar_next - std**2, 0.0) ** 0.5 * eps_hat
        if std > 0 and draw is not None:
            x_t = x_t + std * draw()
    raise AssertionError("unreachable: the last timestep returns")


def ddpm(
    denoise: Denoiser, schedule: Schedule, x_T: Tensor, *, steps: int, draw: DrawNoise
) -> Tensor:
    """DDPM (Ho et al. 2020, arXiv 2006.11239, Eq. 7) with the posterior's own variance.

    Args:
        denoise: (x_t, t) -> x0_hat, eps_hat.
        schedule: alpha_bar table.
        x_T: unit Gaussian noise, any shape with the batch first.
        steps: exact number of calls of ``denoise``.
        draw: returns unit noise shaped like x_T.
    """
    timesteps = respace(schedule.num_timesteps, steps)
    x_t = x_T
    for t, t_next in itertools.pairwise(timesteps):
        x0_hat, _ = denoise(x_t, t)
        alpha_bar, alpha_bar_next = (float(schedule.alpha_bar[i]) for i in (t, t_next))
        mean_x0, mean_x_t, variance = posterior(alpha_bar, alpha_bar_next)
        x_t = mean_x0 * x0_hat + mean_x_t * x_t + variance**0.5 * draw()
    return denoise(x_t, timesteps[-1]).x0_hat


def posterior(alpha_bar: float, alpha_bar_next: float) -> tuple[float, float, float]:
    """Return q(x_next | x_t, x0) as (weight of x0, weight of x_t, variance) (Ho et al., Eq. 7).

    ``alpha_bar_next`` belongs to the less noisy of the two steps, which need not be neighbours.
    """
    alpha = alpha_bar / alpha_bar_next
    beta = 1 - alpha
    weight_x0 = alpha_bar_next**0.5 * beta / (1 - alpha_bar)
    weight_x_t = alpha**0.5 * (1 - alpha_bar_next) / (1 - alpha_bar)
    return weight_x0, weight_x_t, beta * (1 - alpha_bar_next) / (1 - alpha_bar)


SAMPLERS = {"ddim": ddim, "ddpm": ddpm}
