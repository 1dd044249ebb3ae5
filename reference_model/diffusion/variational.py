"""The variational term that trains a learned variance (Nichol & Dhariwal 2021, arXiv 2102.09672).

The mean of the reverse step is made from x0_hat, whatever the network predicts (x0, eps or v); a
term that took the raw output for eps would teach a variance for another mean.
"""

from __future__ import annotations

import torch
from torch import Tensor

from reference_model.diffusion.schedule import Schedule
from reference_model.diffusion.targets import Prediction

VLB_WEIGHT = 0.001  # their lambda, of L_hybrid = L_simple + lambda L_vlb (§3.1)


def variational_term(prediction: Prediction, x0: Tensor, t: Tensor, schedule: Schedule) -> Tensor:
    """Return KL(q(x_{t-1} | x_t, x0) || p(x_{t-1} | x_t)) [b], in nats an entry.

    No gradient flows into the mean (their stop-gradient), so the term trains the variance alone.
    At t = 0, where the posterior has no variance, the next step's variance is taken, as there.

    Args:
        prediction: x0_hat and the variance fraction at x_t.
        x0: clean data [b, ...].
        t: timesteps [b].
        schedule: alpha_bar table.

    Raises:
        ValueError: the prediction has no variance fraction.
    """
    if prediction.variance_fraction is None:
        raise ValueError("this network has no learned variance to train")
    alpha_bar = schedule.at(t, x0)
    before = schedule.at((t - 1).clamp(min=0), x0)
    before = torch.where(t.view(before.shape) == 0, torch.ones_like(before), before)
    beta = 1 - alpha_bar / before
    first = float(posterior_variance_at_one(schedule))
    variance = (beta * (1 - before) / (1 - alpha_bar)).clamp(min=first)
    weight_x0 = before.sqrt() * beta / (1 - alpha_bar)
    gap = weight_x0 * (x0 - prediction.x0_hat.detach())
    f = prediction.variance_fraction
    log_variance = f * beta.log() + (1 - f) * variance.log()
    # KL of two normal laws of means a gap apart.
    kl = log_variance - variance.log() - 1 + (variance + gap**2) / log_variance.exp()
    return 0.5 * kl.flatten(1).mean(dim=1)


def posterior_variance_at_one(schedule: Schedule) -> Tensor:
    """Return the posterior's variance at t = 1, the smallest that is not zero."""
    first, second = schedule.alpha_bar[0], schedule.alpha_bar[1]
    return (1 - second / first) * (1 - first) / (1 - second)
