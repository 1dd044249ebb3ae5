"""DDIM (Song et al. 2021, arXiv 2010.02502): sampling, and its inversion from x0 to x_T."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from reference_model.diffusion.schedule import Schedule
from reference_model.diffusion.targets import Denoiser
from reference_model.timesteps import Steps, timesteps_of

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

    A step of DDIM, x_next = signal_next x0_hat(x_t) + noise_next eps_hat(x_t), is solved for x_t as
    a fixed point, first guessed by the estimates at x_next. Where there is more noise than signal
    x0_hat hardly depends on x_t, elsewhere eps_hat hardly does; the iteration goes over that one,
    or it would not converge. Without corrections this is the usual inversion (Dhariwal & Nichol
    2021, App. F), exact only for many steps.

    Args:
        denoise: (x_t, t) -> x0_hat, eps_hat; unguided, or inversion drifts.
        schedule: alpha_bar table.
        x0: clean data, any shape with the batch first.
        steps: as `ddim` will use.
        corrections: further evaluations at each step.
    """
    x, signal_next, noise_next = x0, 1.0, 0.0
    for t in reversed(timesteps_of(schedule.num_timesteps, steps)):
        alpha_bar = float(schedule.alpha_bar[t])
        signal, noise = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
        guess = x
        for _ in range(1 + corrections):
            x0_hat, eps_hat = denoise(guess, t)[:2]
            if noise_next > signal_next:
                eps_hat = (x - signal_next * x0_hat) / noise_next
            else:
                x0_hat = (x - noise_next * eps_hat) / signal_next
            guess = signal * x0_hat + noise * eps_hat
        x, signal_next, noise_next = guess, signal, noise
    return x
