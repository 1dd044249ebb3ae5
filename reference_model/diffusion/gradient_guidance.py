"""Guidance by the gradient of another network: a noise-aware classifier, or CLIP.

Dhariwal & Nichol 2021 (arXiv 2105.05233, §4.2, Algorithm 2): the score of p(x_t | y) is that of
p(x_t) plus the gradient of log p(y | x_t), so eps_hat - sqrt(1 - alpha_bar) s gradient. GLIDE
(Nichol et al. 2021, arXiv 2112.10741, §2.4) puts CLIP's image-text product in the classifier's
place.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from reference_model.diffusion.schedule import Schedule
from reference_model.diffusion.targets import Denoiser, Prediction, Threshold, eps_from_x0

LogLikelihood = Callable[[Tensor, Tensor], Tensor]  # (x_t, t [b]) -> log p(y | x_t) [b]


def classifier_guided(
    denoise: Denoiser,
    log_likelihood: LogLikelihood,
    schedule: Schedule,
    scale: float,
    *,
    threshold: Threshold | None = None,
) -> Denoiser:
    """Shift a denoiser by s times the gradient of log p(y | x_t) with respect to x_t.

    Args:
        denoise: the unguided (or classifier-free guided) denoiser.
        log_likelihood: of a network that knows noise; one number a sample.
        schedule: alpha_bar table.
        scale: s; 0 = off, 1 = the exact score of p(x_t | y).
        threshold: bounds the guided x0_hat, and eps_hat follows. Near pure noise x0_hat is the
            gradient divided by almost no signal: under a cosine schedule a thousandth of a nat a
            pixel would throw a picture tens of deviations out of its range.
    """

    def guided(x_t: Tensor, t: int) -> Prediction:
        prediction = denoise(x_t, t)
        if scale == 0:
            return prediction
        steps = torch.full((len(x_t),), t, dtype=torch.int64, device=x_t.device)
        slope = gradient(lambda x: log_likelihood(x, steps), x_t)
        alpha_bar = schedule.at(steps, x_t)
        eps_hat = prediction.eps_hat - (1 - alpha_bar).sqrt() * scale * slope
        # x0_hat follows eps_hat; written as a sum, as x_t cancels.
        x0_hat = prediction.x0_hat + (1 - alpha_bar) / alpha_bar.sqrt() * scale * slope
        if threshold is not None:
            x0_hat = threshold(x0_hat)
            eps_hat = eps_from_x0(x0_hat, x_t, alpha_bar)
        return Prediction(x0_hat, eps_hat, prediction.variance_fraction)

    return guided


def clip_guided(
    denoise: Denoiser,
    encode_images: Callable[[Tensor], Tensor],
    z_t: Tensor,
    schedule: Schedule,
    scale: float,
) -> Denoiser:
    """Shift a denoiser towards a larger z_i . z_t of what it believes the picture to be.

    A CLIP that never saw noise is asked about x0_hat, which spares the way back through the U-Net.
    Bayes' rule moves the mean of x0 by its variance given x_t times the gradient; that variance is
    taken as sigma^2, and as 1, the data's own, where there is more noise than data.

    Args:
        denoise: the unguided (or classifier-free guided) denoiser.
        encode_images: pictures in [-1, 1] to unit-length z_i.
        z_t: unit-length text embeddings [b, d].
        schedule: alpha_bar table.
        scale: GLIDE's scale, which includes CLIP's logit scale; 0 = off.
    """
    with torch.inference_mode(mode=False):
        text = z_t.clone()  # made under inference mode, it could take no part in a gradient

    def guided(x_t: Tensor, t: int) -> Prediction:
        prediction = denoise(x_t, t)
        if scale == 0:
            return prediction
        slope = gradient(lambda x: (encode_images(x) * text).sum(-1), prediction.x0_hat)
        variance = min(float(schedule.sigma[t]) ** 2, 1.0)
        x0_hat = prediction.x0_hat + variance * scale * slope
        steps = torch.full((len(x_t),), t, dtype=torch.int64, device=x_t.device)
        eps_hat = eps_from_x0(x0_hat, x_t, schedule.at(steps, x_t))
        return Prediction(x0_hat, eps_hat, prediction.variance_fraction)

    return guided


def gradient(log_likelihood: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return the gradient of the sum of log-likelihoods [b] at x, also under inference mode."""
    with torch.inference_mode(mode=False), torch.enable_grad():
        held = x.detach().clone().requires_grad_()
        return torch.autograd.grad(log_likelihood(held).sum(), held)[0]


def target_log_probability(logits: Tensor, labels: Tensor) -> Tensor:
    """Return log p(label) [b] of class logits [b, classes]: a classifier's log-likelihood."""
    return -functional.cross_entropy(logits, labels, reduction="none")
