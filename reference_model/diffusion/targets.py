"""What a network predicts (x0, eps or v) and how one becomes the other.

x_t = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) eps
v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x0
(Salimans & Ho 2022, arXiv 2202.00512).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from reference_model.config import Target
from reference_model.diffusion.schedule import Schedule


class Prediction(NamedTuple):
    """A network's estimate of the clean data and of the noise in x_t, in agreement.

    Attributes:
        variance_fraction: where the network learned its variance: 0 = the posterior's, 1 = beta.
    """

    x0_hat: Tensor
    eps_hat: Tensor
    variance_fraction: Tensor | None = None


Denoiser = Callable[[Tensor, int], Prediction]
Network = Callable[[Tensor, Tensor], Tensor]
Threshold = Callable[[Tensor], Tensor]


def q_sample(x0: Tensor, eps: Tensor, alpha_bar: Tensor) -> Tensor:
    """Return x_t: the clean data mixed with noise."""
    return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps


def target_of(target: Target, x0: Tensor, eps: Tensor, alpha_bar: Tensor) -> Tensor:
    """Return what the network should output for (x0, eps)."""
    if target == "x0":
        return x0
    if target == "eps":
        return eps
    return alpha_bar.sqrt() * eps - (1 - alpha_bar).sqrt() * x0


def x0_from(target: Target, output: Tensor, x_t: Tensor, alpha_bar: Tensor) -> Tensor:
    """Turn a network's output into x0_hat."""
    signal, noise = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    if target == "x0":
        return output
    if target == "eps":
        return (x_t - noise * output) / signal
    return signal * x_t - noise * output


def eps_from_x0(x0: Tensor, x_t: Tensor, alpha_bar: Tensor) -> Tensor:
    """Return the noise that is left in x_t when x0 is the clean data."""
    return (x_t - alpha_bar.sqrt() * x0) / (1 - alpha_bar).sqrt()


def denoiser(
    network: Network,
    target: Target,
    schedule: Schedule,
    *,
    clip_range: float | None = None,
    threshold: Threshold | None = None,
) -> Denoiser:
    """Wrap a network (x_t, t [b]) -> output as (x_t, t) -> `Prediction`.

    A network whose output has twice the channels of x_t has a learned variance in the second half,
    as a number in [-1, 1] (Nichol & Dhariwal 2021, Eq. 15).

    Args:
        network: predicts the target.
        target: what it predicts.
        schedule: alpha_bar table.
        clip_range: clamps x0_hat to [-c, c]. A clamp must suit the data's own scale (1 for images;
            wider for embeddings, or even a perfect eps network loses its x0).
        threshold: applied to x0_hat in place of a clamp, such as `thresholding.dynamic`.

    Whatever bounds x0_hat, eps_hat follows it.
    """

    def denoise(x_t: Tensor, t: int) -> Prediction:
        steps = torch.full((len(x_t),), t, dtype=torch.int64, device=x_t.device)
        alpha_bar = schedule.at(steps, x_t)
        output, fraction = split_variance(network(x_t, steps), x_t)
        x0_hat = x0_from(target, output, x_t, alpha_bar)
        if threshold is not None:
            x0_hat = threshold(x0_hat)
        elif clip_range is not None:
            x0_hat = x0_hat.clamp(-clip_range, clip_range)
        return Prediction(x0_hat, eps_from_x0(x0_hat, x_t, alpha_bar), fraction)

    return denoise


def split_variance(output: Tensor, x_t: Tensor) -> tuple[Tensor, Tensor | None]:
    """Split an output into the target and, where it has twice the channels, the fraction."""
    if output.shape[1] == x_t.shape[1]:
        return output, None
    target, variance = output.chunk(2, dim=1)
    return target, (variance + 1) / 2
