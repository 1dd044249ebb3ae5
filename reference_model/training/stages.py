"""The loss of each diffusion stage: x0 is drawn from data, noised by step and key, and predicted.

The loss is on the network's own target with a weight on the signal-to-noise ratio, clamp(SNR, low,
high) in x0's units (Hang et al. 2023, arXiv 2303.09556, clamp SNR at 5): the clear steps do not
drown the rest.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from reference_model.clip import Clip, to_model_range
from reference_model.config import Target
from reference_model.decoder import Decoder
from reference_model.diffusion.schedule import Schedule
from reference_model.diffusion.targets import q_sample, target_of, x0_from
from reference_model.prior import DiffusionPrior
from reference_model.timesteps import shift_position
from reference_model.training.data import CaptionedImages
from reference_model.training.embeddings import EmbeddedCaptions
from reference_model.training.rows import Rows, whole_batch
from reference_model.upsamplers import Upsampler, corrupt

SNR_LOW, SNR_HIGH = 0.1, 5.0


def generator(step: int, purpose: int) -> torch.Generator:
    """Return the random source of a step: a function of the step alone."""
    return torch.Generator().manual_seed(1_000_003 * step + purpose)


def weighted_loss(
    target: Target, output: Tensor, x0: Tensor, x_t: Tensor, alpha_bar: Tensor
) -> Tensor:
    """Return the mean squared error of x0_hat, weighted by clamp(SNR, 0.1, 5)."""
    error = x0_from(target, output.float(), x_t, alpha_bar) - x0
    snr = alpha_bar / (1 - alpha_bar)
    return (snr.clamp(SNR_LOW, SNR_HIGH) * error**2).mean()


def native_loss(
    target: Target, output: Tensor, x0: Tensor, eps: Tensor, alpha_bar: Tensor
) -> Tensor:
    """Return the unweighted squared error of the target itself (Ho et al. 2020, simple loss)."""
    return functional.mse_loss(output.float(), target_of(target, x0, eps, alpha_bar))


def noised(
    x0: Tensor,
    schedule: Schedule,
    source: torch.Generator,
    shift: float = 1.0,
    rows: Rows | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return (x_t, t, eps, alpha_bar) at timesteps spread evenly over the batch.

    A shift over 1 draws the noisy ones more often (`timesteps.shift_position`).
    """
    rows = whole_batch(len(x0)) if rows is None else rows
    n = rows.batch_size
    # One random offset and an even spread: every batch covers all noise levels (Kingma et al.
    # 2021).
    position = (torch.rand(1, generator=source) + torch.arange(n) / n) % 1
    position = rows.of(position)
    t = (shift_position(position, shift) * schedule.num_timesteps).long().to(x0.device)
    eps = rows.randn(source, *x0.shape[1:]).to(x0.device)
    alpha_bar = schedule.at(t, x0)
    return q_sample(x0, eps, alpha_bar), t, eps, alpha_bar


class Corruption(NamedTuple):
    """What a decoder is denied in training; the two null conditions are drawn independently.

    Attributes:
        z_dropout, text_dropout: probabilities of the null z_i and of the empty caption.
        z_noise: largest deviation, over the length of z_i, of the gaussian noise on it.
        coarse: share of a batch that gets `coarse_picture` for x_t, and no z_i.
    """

    z_dropout: float
    text_dropout: float
    z_noise: float = 0.0
    coarse: float = 0.0


def corrupt_z(
    z_i: Tensor, largest: float, source: torch.Generator, rows: Rows | None = None
) -> Tensor:
    """Return unit-length z_i [b, d] with noise of a random deviation up to ``largest``.

    Later unCLIP models train so, to bear a prior's errors (Stable unCLIP's noise_level).
    """
    rows = whole_batch(len(z_i)) if rows is None else rows
    deviation = largest * rows.rand(source, 1)
    noise = rows.randn(source, z_i.shape[1]) / z_i.shape[1] ** 0.5
    return functional.normalize(z_i + (deviation * noise).to(z_i), dim=-1)


COARSE_CELL = 8  # pixels
COARSE_NOISE = 0.2
COARSE_TIMESTEP = 0.9  # of the chain: about where colours can be told and shapes cannot


def coarse_picture(x0: Tensor, source: torch.Generator, rows: Rows | None = None) -> Tensor:
    """Return the mean colours of 8 x 8 cells with a little noise, as large as x0 [b, 3, h, w].

    It tells what a very noisy picture tells, where which colour is, without the noise that drowns
    the gradient. So the decoder soon learns to look up the shape that the caption gives a colour.
    """
    rows = whole_batch(len(x0)) if rows is None else rows
    low = functional.avg_pool2d(x0, COARSE_CELL)
    low = low + COARSE_NOISE * rows.randn(source, *low.shape[1:]).to(low)
    return 0.5 * functional.interpolate(low, scale_factor=COARSE_CELL, mode="nearest")


def decoder_loss(
    decoder: Decoder,
    clip: Clip,
    data: CaptionedImages,
    *,
    rows: Rows,
    corruption: Corruption,
    noise_shift: float = 1.0,
) -> Tensor:
    """Return the decoder's loss of a step's rows: z_i and the caption are dropped independently.

    Raises:
        ValueError: coarse pictures for a decoder that does not predict x0; they have no noise.
    """
    config, source = decoder.config, generator(rows.step, 1)
    if corruption.coarse and config.target != "x0":
        raise ValueError(f"coarse pictures teach a decoder that predicts x0, not {config.target}")
    batch = data.batch(rows.start, rows.batch_size, config.image_size, rows=rows.range)
    x0 = to_model_range(batch.images, clip.device)
    with torch.no_grad():
        z_i = clip.encode_images(x0).float()
    known = rows.rand(source) >= corruption.z_dropout
    coarse = (rows.rand(generator(rows.step, 6)) < corruption.coarse).to(x0.device)
    known &= ~coarse.cpu()
    drop = rows.rand(source) < corruption.text_dropout
    if corruption.z_noise:
        z_i = corrupt_z(z_i, corruption.z_noise, generator(rows.step, 5), rows)
    tokens = rows.of(decoder.tokenizer(batch.captions, spell_probability=0.15, seed=rows.step))
    tokens = torch.where(drop[:, None], decoder.empty_caption(1).cpu(), tokens).to(clip.device)
    x_t, t, _, alpha_bar = noised(x0, decoder.schedule, source, noise_shift, rows)
    if corruption.coarse:
        t = torch.where(coarse, int(COARSE_TIMESTEP * decoder.schedule.num_timesteps), t)
        x_t = torch.where(coarse[:, None, None, None], coarse_picture(x0, source, rows), x_t)
        alpha_bar = torch.where(coarse[:, None, None, None], 1 / 3, alpha_bar)
    output = decoder(x_t, t, *decoder.condition(z_i, known.to(clip.device), tokens))
    return weighted_loss(config.target, output, x0, x_t, alpha_bar)


def upsampler_loss(upsampler: Upsampler, data: CaptionedImages, *, rows: Rows) -> Tensor:
    """Return an upsampler's loss of a step's rows.

    It learns on crops of a quarter of its size, from corrupted conditioning.
    """
    config, source = upsampler.config, generator(rows.step, 2)
    device = next(upsampler.parameters()).device
    x0 = to_model_range(_crops(data, config.high_size, rows), device)
    factor = config.high_size // config.low_size
    low = functional.interpolate(x0, scale_factor=1 / factor, mode="area")
    blur = config.blur_sigma * rows.rand(source)
    noise = config.noise_std * rows.rand(source) ** 2
    eps = rows.randn(source, *low.shape[1:])
    low = corrupt(low, blur.to(device), noise.to(device), eps.to(device))
    x_t, t, _, alpha_bar = noised(x0, upsampler.schedule, source, rows=rows)
    return weighted_loss(config.target, upsampler(x_t, t, low), x0, x_t, alpha_bar)


CROPS_PER_IMAGE = 4


def _crops(data: CaptionedImages, size: int, rows: Rows) -> NDArray[np.uint8]:
    """Return uint8 [len(rows), size / 4, size / 4, 3]: several crops of each picture."""
    rng, side, n = generator(rows.step, 3), size // 4, rows.batch_size
    pictures = -(-n // CROPS_PER_IMAGE)
    needed = range(rows.first // CROPS_PER_IMAGE, -(-rows.last // CROPS_PER_IMAGE))
    images = data.batch(rows.step * pictures, pictures, size, rows=needed).images
    # Multiples of 16 keep every grid of the network aligned with the picture's.
    corners = torch.randint(0, (size - side) // 16 + 1, (n, 2), generator=rng) * 16
    chosen = zip(rows.range, rows.of(corners).tolist(), strict=True)
    return np.stack(
        [
            images[k // CROPS_PER_IMAGE - needed.start, y : y + side, x : x + side]
            for k, (y, x) in chosen
        ]
    )


def prior_loss(
    prior: DiffusionPrior,
    clip: Clip,
    data: EmbeddedCaptions,
    *,
    rows: Rows,
    weighting: str = "native",
) -> Tensor:
    """Return the prior's loss of a step's rows on cached embeddings; the text is dropped 10%.

    Args:
        prior: is trained.
        clip: reads the captions.
        data: what is learned.
        rows: of the step.
        weighting: ``native`` or ``snr``, see `recipes.StageRecipe`.
    """
    source = generator(rows.step, 4)
    chosen = rows.of(torch.randint(0, len(data.z_i), (rows.batch_size,), generator=source))
    with torch.no_grad():
        z_t, states, mask = clip.encode_tokens(data.tokens[chosen])
    known = rows.rand(source) >= prior.config.text_dropout
    x0 = prior.scale(data.z_i[chosen])
    x_t, t, eps, alpha_bar = noised(x0, prior.schedule, source, rows=rows)
    output = prior(x_t, t, states.float(), mask, z_t.float(), known.to(x0.device))
    if weighting == "snr":
        return weighted_loss(prior.config.target, output, x0, x_t, alpha_bar)
    return native_loss(prior.config.target, output, x0, eps, alpha_bar)
