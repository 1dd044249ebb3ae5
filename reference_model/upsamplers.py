"""Upsamplers 64 to 256 and 256 to 1024 (paper §2.1): convolutional, no attention, no text.

Trained on crops with corrupted conditioning, so that the flaws of the stage below are not copied;
fully convolutional, so sampling runs on the whole picture. Few DDIM steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from reference_model.config import UpsamplerConfig
from reference_model.diffusion.noise import KeyedNoise, NoiseKey
from reference_model.diffusion.samplers import ddim
from reference_model.diffusion.schedule import Schedule
from reference_model.diffusion.targets import denoiser
from reference_model.efficient_unet import build_unet

IMAGE_RANGE = 1.0


class Upsampler(nn.Module):
    """Diffusion from a low-resolution picture to one four times as large."""

    def __init__(self, config: UpsamplerConfig) -> None:
        super().__init__()
        self.config = config
        self.unet = build_unet(config.unet)
        self.schedule = Schedule(config.schedule, config.num_timesteps)

    def forward(self, x_t: Tensor, t: Tensor, low: Tensor) -> Tensor:
        """Predict the target for x_t [b, 3, h, w] given low [b, 3, h/factor, w/factor]."""
        return self.from_prepared(x_t, t, *self.prepare(low))

    def prepare(self, low: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return ``low`` on the stem's grid, and enlarged where the network adds to that.

        Neither depends on x_t or t, so a sampler makes them once for all its steps.
        """
        return self._on_grid(low), self._enlarged(low) if self.config.residual else None

    def from_prepared(
        self, x_t: Tensor, t: Tensor, on_grid: Tensor, enlarged: Tensor | None
    ) -> Tensor:
        """Predict the target as `forward` does, given what `prepare` returned."""
        output = self.unet(x_t, t, low=on_grid)
        return output if enlarged is None else output + enlarged

    def _enlarged(self, low: Tensor) -> Tensor:
        factor = self.config.high_size // self.config.low_size
        return functional.interpolate(low, scale_factor=factor, mode="bicubic", align_corners=False)

    def _on_grid(self, low: Tensor) -> Tensor:
        """Bring the picture to the stem's grid: folded where that is coarser, enlarged where finer.

        Enlarged as Karlo does it: torch's antialiased bicubic, whose kernel differs from the plain
        one even where nothing is shrunk.
        """
        stem, high = self.config.unet.patch * self.config.low_size, self.config.high_size
        if stem >= high:
            return functional.pixel_unshuffle(low, stem // high)
        return functional.interpolate(
            low, scale_factor=high / stem, mode="bicubic", align_corners=False, antialias=True
        )

    def sample(
        self, low: Tensor, noise_keys: Sequence[NoiseKey], *, steps: int, stage: str
    ) -> Tensor:
        """Return pictures in [-1, 1], [b, 3, H, W] with H = factor * h, by DDIM."""
        factor = self.config.high_size // self.config.low_size
        height, width = low.shape[-2] * factor, low.shape[-1] * factor
        x_T = KeyedNoise(noise_keys, stage, low.device).draw(3, height, width)
        prepared = self.prepare(low)
        denoise = denoiser(
            lambda x_t, t: self.from_prepared(x_t, t, *prepared),
            self.config.target,
            self.schedule,
            clip_range=IMAGE_RANGE,
        )
        return ddim(denoise, self.schedule, x_T, steps=steps)


def corrupt(low: Tensor, blur_sigma: Tensor, noise_std: Tensor, eps: Tensor) -> Tensor:
    """Blur (gaussian, kernel 3) and add noise, each by its own strength per picture.

    Args:
        low: [b, 3, h, w] in [-1, 1].
        blur_sigma: [b], in pixels; 0 leaves the picture as it is.
        noise_std: [b], in units of [-1, 1].
        eps: unit noise shaped like ``low``.
    """
    side = torch.exp(-0.5 / blur_sigma.clamp(min=1e-3) ** 2)
    kernel = torch.stack([side, torch.ones_like(side), side], dim=1)
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    squares = kernel[:, :, None] * kernel[:, None, :]  # [b, 3, 3]
    b, c, h, w = low.shape
    padded = functional.pad(low, (1, 1, 1, 1), mode="replicate").reshape(1, b * c, h + 2, w + 2)
    weight = squares.repeat_interleave(c, dim=0)[:, None]
    blurred = functional.conv2d(padded, weight, groups=b * c).view(b, c, h, w)
    return blurred + noise_std.view(-1, 1, 1, 1) * eps
