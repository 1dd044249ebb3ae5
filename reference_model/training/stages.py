"""The loss of each diffusion stage: x0 is drawn from data, noised by step and key, and predicted.

The loss is on the network's own target with a weight on the signal-to-noise ratio, clamp(SNR, low,
high) in x0's units (Hang et al. 2023, arXiv 2303.09556, clamp SNR at 5): the clear steps do not
drown the rest.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
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
    x0: Tensor, schedule: Schedule, source: torch.Generator, shift: float = 1.0
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return (x_t, t, eps, alpha_bar) at timesteps spread evenly over the batch.

    A shift over 1 draws the noisy ones more often (`timesteps.shift_position`).
    """
    n = len(x0)
    # One random offset and an even spread: every batch covers all noise levels (Kingma et al.
    # 2021).
    position = (torch.rand(1, generator=source) + torch.arange(n) / n) % 1
    t = (shift_position(position, shift) * schedule.num_timesteps).long().to(x0.device)
    eps = torch.randn(x0.shape, generator=source).to(x0.device)
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


def corrupt_z(z_i: Tensor, largest: float, source: torch.Generator) -> Tensor:
    """Return unit-length z_i [b, d] with noise of a random deviation up to ``largest``.

    Later unCLIP models train so, to bear a prior's errors (Stable unCLIP's noise_level).
    """
    deviation = largest * torch.rand(len(z_i), 1, generator=source)
    noise = torch.randn(z_i.shape, generator=source) / z_i.shape[1] ** 0.5
    return functional.normalize(z_i + (deviation * noise).to(z_i), dim=-1)


COARSE_CELL = 8  # pixels
COARSE_NOISE = 0.2
COARSE_TIMESTEP = 0.9  # of the chain: about where colours can be told and shapes cannot


def coarse_picture(x0: Tensor, source: torch.Generator) -> Tensor:
    """Return the mean colours of 8 x 8 cells with a little noise, as large as x0 [b, 3, h, w].

    It tells what a very noisy picture tells, where which colour is, without the noise that drowns
    the gradient. So the decoder soon learns to look up the shape that the caption gives a colour.
    """
    low = functional.avg_pool2d(x0, COARSE_CELL)
    low = low + COARSE_NOISE * torch.randn(low.shape, generator=source).to(low)
    return 0.5 * functional.interpolate(low, scale_factor=COARSE_CELL, mode="nearest")


def decoder_loss(
    decoder: Decoder,
    clip: Clip,
    data: CaptionedImages,
    *,
    batch_size: int,
    step: int,
    corruption: Corruption,
    noise_shift: float = 1.0,
) -> Tensor:
    """Return the decoder's loss of one step: z_i and the caption are dropped independently.

    Raises:
        ValueError: coarse pictures for a decoder that does not predict x0; they have no noise.
    """
    config, source = decoder.config, generator(step, 1)
    if corruption.coarse and config.target != "x0":
        raise ValueError(f"coarse pictures teach a decoder that predicts x0, not {config.target}")
    batch = data.batch(step * batch_size, batch_size, config.image_size)
    x0 = to_model_range(batch.images, clip.device)
    with torch.no_grad():
        z_i = clip.encode_images(x0).float()
    known = torch.rand(batch_size, generator=source) >= corruption.z_dropout
    coarse = (torch.rand(batch_size, generator=generator(step, 6)) < corruption.coarse).to(
        x0.device
    )
    known &= ~coarse.cpu()
    drop = torch.rand(batch_size, generator=source) < corruption.text_dropout
    z_i = corrupt_z(z_i, corruption.z_noise, generator(step, 5)) if corruption.z_noise else z_i
    tokens = decoder.tokenizer(batch.captions, spell_probability=0.15, seed=step)
    tokens = torch.where(drop[:, None], decoder.empty_caption(1).cpu(), tokens).to(clip.device)
    x_t, t, _, alpha_bar = noised(x0, decoder.schedule, source, noise_shift)
    if corruption.coarse:
        t = torch.where(coarse, int(COARSE_TIMESTEP * decoder.schedule.num_timesteps), t)
        x_t = torch.where(coarse[:, None, None, None], coarse_picture(x0, source), x_t)
        alpha_bar = torch.where(coarse[:, None, None, None], 1 / 3, alpha_bar)
    output = decoder(x_t, t, *decoder.condition(z_i, known.to(clip.device), tokens))
    return weighted_loss(config.target, output, x0, x_t, alpha_bar)


def upsampler_loss(
    upsampler: Upsampler, data: CaptionedImages, *, batch_size: int, step: int
) -> Tensor:
    """Return an upsampler's loss on crops of a quarter of its size, conditioning corrupted."""
    config, source = upsampler.config, generator(step, 2)
    device = next(upsampler.parameters()).device
    x0 = to_model_range(_crops(data, config.high_size, batch_size, step), device)
    factor = config.high_size // config.low_size
    low = functional.interpolate(x0, scale_factor=1 / factor, mode="area")
    blur = config.blur_sigma * torch.rand(batch_size, generator=source)
    noise = config.noise_std * torch.rand(batch_size, generator=source) ** 2
    eps = torch.randn(low.shape, generator=source)
    low = corrupt(low, blur.to(device), noise.to(device), eps.to(device))
    x_t, t, _, alpha_bar = noised(x0, upsampler.schedule, source)
    return weighted_loss(config.target, upsampler(x_t, t, low), x0, x_t, alpha_bar)


CROPS_PER_IMAGE = 4


def _crops(data: CaptionedImages, size: int, n: int, step: int) -> Tensor:
    """Return uint8 [n, size / 4, size / 4, 3]: several crops of each picture."""
    rng, side, pictures = generator(step, 3), size // 4, -(-n // CROPS_PER_IMAGE)
    images = torch.from_numpy(data.batch(step * pictures, pictures, size).images)
    # Multiples of 16 keep every grid of the network aligned with the picture's.
    corners = torch.randint(0, (size - side) // 16 + 1, (n, 2), generator=rng) * 16
    rows = [
        images[k // CROPS_PER_IMAGE, y : y + side, x : x + side]
        for k, (y, x) in enumerate(corners.tolist())
    ]
    return torch.stack(rows).numpy()


def prior_loss(
    prior: DiffusionPrior, clip: Clip, data: EmbeddedCaptions, *, batch_size: int, step: int
) -> Tensor:
    """Return the prior's loss on cached embeddings; the text is dropped 10%."""
    source = generator(step, 4)
    rows = torch.randint(0, len(data.z_i), (batch_size,), generator=source)
    with torch.no_grad():
        z_t, states, mask = clip.encode_tokens(data.tokens[rows])
    known = torch.rand(batch_size, generator=source) >= prior.config.text_dropout
    x0 = prior.scale(data.z_i[rows])
    x_t, t, eps, alpha_bar = noised(x0, prior.schedule, source)
    output = prior(x_t, t, states.float(), mask, z_t.float(), known.to(x0.device))
    return native_loss(prior.config.target, output, x0, eps, alpha_bar)


PRIOR_EMBEDDINGS = 40_000  # captioned images whose z_i a prior is trained on


class EmbeddedCaptions:
    """z_i and token ids of many captioned images, made once: the prior never needs pixels.

    Attributes:
        z_i: [n, d], unit length.
        tokens: [n, l].
    """

    def __init__(self, clip: Clip, data: CaptionedImages, n: int, batch_size: int = 256) -> None:
        z_i, tokens = [], []
        with torch.no_grad():
            for start in range(0, n, batch_size):
                batch = data.batch(start, min(batch_size, n - start), clip.config.image_size)
                z_i.append(clip.encode_images(to_model_range(batch.images, clip.device)).float())
                tokens.append(clip.tokenizer(batch.captions, spell_probability=0.15, seed=start))
        self.z_i, self.tokens = torch.cat(z_i), torch.cat(tokens).to(clip.device)
