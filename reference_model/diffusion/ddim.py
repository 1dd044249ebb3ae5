"""DDIM (Song et al. 2021, arXiv 2010.02502): sampling, and its inversion from x0 to x_T."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from reference_model.diffusion.schedule import Schedule
from reference_model.diffusion.steps import Steps, timesteps_of
from reference_model.diffusion.targets import Denoiser

DrawNoise = Callable[[], Tensor]


def ddim(
    denoise: Denoiser,
    schedule: Schedule,
    x_T: Tensor,
    *,
    steps: Steps,
    eta: float = 0.0,
    draw: DrawNoise | None = None,
) -> Tensor:
    """DDIM (Song et al. 2021, arXiv 2010.02502, Eq. 12); eta = 0 is deterministic, 1 like DDPM.

    Args:
        denoise: (x_t, t) -> x0_hat, eps_hat.
        schedule: alpha_bar table.
        x_T: unit Gaussian noise, any shape with the batch first.
        steps: exact number of calls of ``denoise``, or the timesteps to visit.
        eta: share of the ancestral noise that is put back at each step.
        draw: returns unit noise shaped like x_T; needed when eta > 0.

    Raises:
        ValueError: eta > 0 without ``draw``.
    """
    if eta > 0 and draw is None:
        raise ValueError(f"eta is {eta}: a stochastic DDIM needs draw=, a source of noise")
    timesteps = timesteps_of(schedule.num_timesteps, steps)
    x_t = x_T
    for t, t_next in zip(timesteps, [*timesteps[1:], None], strict=True):
        x0_hat, eps_hat = denoise(x_t, t)[:2]
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


def ddim_invert(
    denoise: Denoiser, schedule: Schedule, x0: Tensor, *, steps: Steps, corrections: int = 2
) -> Tensor:
    """Return the x_T from which `ddim` with the same steps and eta = 0 leads back to x0.

    Each step of DDIM is inverted: x_t must satisfy x_t = a x_next + b eps_hat(x_t, t), which is
    first guessed with eps_hat at x_next and then corrected as a fixed point. Without corrections
    this is the usual inversion (Dhariwal & Nichol 2021, App. F), exact only for many steps.

    Args:
        denoise: (x_t, t) -> x0_hat, eps_hat; unguided, or inversion drifts.
        schedule: alpha_bar table.
        x0: clean data, any shape with the batch first.
        steps: as `ddim` will use.
        corrections: further evaluations at each step.
    """
    x, alpha_bar_next = x0, 1.0
    for t in reversed(timesteps_of(schedule.num_timesteps, steps)):
        alpha_bar = float(schedule.alpha_bar[t])
        guess = x
        for _ in range(1 + corrections):
            eps_hat = denoise(guess, t).eps_hat
            x0_hat = (x - (1 - alpha_bar_next) ** 0.5 * eps_hat) / alpha_bar_next**0.5
            guess = alpha_bar**0.5 * x0_hat + (1 - alpha_bar) ** 0.5 * eps_hat
        x, alpha_bar_next = guess, alpha_bar
    return x
