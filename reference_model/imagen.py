"""Imagen's way (Saharia et al. 2022, arXiv 2205.11487): no prior, no z_i, a frozen text encoder.

The base U-Net attends to the token states of a text encoder that is not trained with it, behind a
LayerNorm, and adds the pooled text to its timestep. Strong guidance is kept in range by dynamic
thresholding. The text encoder is whatever makes a `TextEncoding`: the stack's own CLIP, or a frozen
T5 (`t5`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from reference_model.clip import TextEncoding
from reference_model.diffusion.noise import KeyedNoise, NoiseKey
from reference_model.diffusion.samplers import Sampler, sample
from reference_model.diffusion.schedule import Schedule
from reference_model.diffusion.steering import Steering, steered
from reference_model.diffusion.targets import Denoiser
from reference_model.diffusion.thresholding import dynamic
from reference_model.timesteps import Steps
from reference_model.unet import Unet
from reference_model.variant_config import ImagenConfig


class Imagen(nn.Module):
    """A caption's encoding to a picture."""

    def __init__(self, config: ImagenConfig) -> None:
        super().__init__()
        self.config = config
        unet = config.unet
        self.unet = Unet(unet)
        self.states_norm = nn.LayerNorm(config.text_width)
        self.states_in = nn.Linear(config.text_width, unet.context_width)
        self.pooled_in = nn.Sequential(
            nn.LayerNorm(config.pooled_width), nn.Linear(config.pooled_width, unet.vector_width)
        )
        self.schedule = Schedule(config.schedule, config.num_timesteps)

    def condition(self, text: TextEncoding, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return (vector [b, v], context [b, l, width], mask) that the U-Net reads.

        Args:
            text: encoding of the captions, from a frozen encoder.
            known: False where the text is zeroed, which is the null condition [b].
        """
        given = known[:, None]
        # Zeroed behind the projections, or their biases would still tell padding from text.
        vector = torch.where(given, self.pooled_in(text.z_t), 0.0)
        states = self.states_in(self.states_norm(text.states))
        context = torch.where(given[..., None], states, 0.0)
        return vector, context, text.mask | ~given

    def forward(
        self, x_t: Tensor, t: Tensor, vector: Tensor, context: Tensor, mask: Tensor
    ) -> Tensor:
        """Predict the target for x_t [b, 3, h, w]."""
        return self.unet(x_t, t, vector=vector, context=context, context_mask=mask)

    def from_projected(
        self, x_t: Tensor, t: Tensor, vector: Tensor, mask: Tensor, *context_kv: Tensor
    ) -> Tensor:
        """Predict the target as `forward` does, given the context's keys and values."""
        return self.unet(x_t, t, vector=vector, context_kv=context_kv, context_mask=mask)

    def projected(self, text: TextEncoding, known: Tensor) -> tuple[Tensor, ...]:
        """Return what `from_projected` reads: the same at every step, so made once."""
        vector, context, mask = self.condition(text, known)
        return vector, mask, *self.unet.project_context(context)

    def sample(
        self,
        text: TextEncoding,
        noise_keys: Sequence[NoiseKey],
        *,
        steps: Steps,
        guidance_scale: float,
        sampler: str | Sampler = "ddim",
        eta: float = 0.0,
        steering: Steering | None = None,
    ) -> Tensor:
        """Return pictures [b, 3, size, size] in [-1, 1].

        Args:
            text: encoding of the captions.
            noise_keys: (prompt id, seed) of each picture.
            steps: of the sampler, or the timesteps that it visits.
            guidance_scale: classifier-free, 1 = off; Imagen goes up to 10 and beyond.
            sampler: a name of `diffusion.samplers.SAMPLERS`, or a sampler itself.
            eta: DDIM's share of fresh noise.
            steering: what else is done to the estimates; dynamic thresholding when None.
        """
        # The unCLIP decoder's noise: arms are compared in pairs.
        noise = KeyedNoise(noise_keys, "decoder", text.z_t.device)
        shape = (3, self.config.image_size, self.config.image_size)
        x_T = noise.draw(*shape)
        return sample(
            sampler,
            self.denoiser(text, guidance_scale, steering),
            self.schedule,
            x_T,
            steps=steps,
            draw=lambda: noise.draw(*shape),
            eta=eta,
        )

    def denoiser(
        self, text: TextEncoding, guidance_scale: float, steering: Steering | None = None
    ) -> Denoiser:
        """Return the guided denoiser of these captions, for any sampler."""
        known = torch.ones(len(text.z_t), dtype=torch.bool, device=text.z_t.device)
        null = self.projected(text, ~known) if guidance_scale != 1 else ()
        return steered(
            self.from_projected,
            (self.projected(text, known), null),
            guidance_scale,
            target=self.config.target,
            schedule=self.schedule,
            steering=steering or Steering(threshold=dynamic(self.config.percentile)),
        )
