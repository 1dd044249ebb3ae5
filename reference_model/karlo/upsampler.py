"""Karlo's upsampler 64 to 256: two convolutional U-Nets, the second for the last step alone."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from reference_model.diffusion.noise import KeyedNoise, NoiseKey
from reference_model.diffusion.samplers import ddpm
from reference_model.diffusion.schedule import Schedule
from reference_model.diffusion.targets import denoiser
from reference_model.karlo.config import KarloUpsamplerConfig
from reference_model.timesteps import strided
from reference_model.unet import Unet

NUM_TIMESTEPS = 1000


class KarloUpsampler(nn.Module):
    """Diffusion to a picture four times as large; eps with the posterior's variance."""

    def __init__(self, config: KarloUpsamplerConfig) -> None:
        super().__init__()
        self.config = config
        self.first = Unet(config.unet)
        self.last = Unet(config.unet)
        self.schedule = Schedule("cosine", NUM_TIMESTEPS)

    def enlarged(self, low: Tensor) -> Tensor:
        """Enlarge the low-resolution picture by antialiased bicubic, as Karlo does."""
        factor = self.config.high_size / self.config.low_size
        return functional.interpolate(
            low, scale_factor=factor, mode="bicubic", align_corners=False, antialias=True
        )

    def sample(
        self, low: Tensor, noise_keys: Sequence[NoiseKey], *, steps: int, stage: str
    ) -> Tensor:
        """Return pictures in [-1, 1] [b, 3, H, W]; Karlo takes 7 steps."""
        condition = self.enlarged(low)
        noise = KeyedNoise(noise_keys, stage, low.device)
        shape = tuple(condition.shape[1:])
        timesteps = strided(NUM_TIMESTEPS, steps)

        def network(x_t: Tensor, t: Tensor) -> Tensor:
            unet = self.last if int(t[0]) == timesteps[-1] else self.first
            return unet(x_t, t, low=condition)

        return ddpm(
            denoiser(network, "eps", self.schedule, clip_range=1.0),
            self.schedule,
            noise.draw(*shape),
            steps=timesteps,
            draw=lambda: noise.draw(*shape),
        )
