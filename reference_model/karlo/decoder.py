"""Karlo's decoder: the ADM U-Net on z_i, z_t and the states of CLIP's text tower."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from reference_model.clip import TextEncoding
from reference_model.diffusion.noise import KeyedNoise, NoiseKey
from reference_model.diffusion.samplers import sample
from reference_model.diffusion.schedule import Schedule
from reference_model.diffusion.steering import PLAIN, Steering, steered
from reference_model.karlo.config import KarloDecoderConfig
from reference_model.karlo.spacing import spaced
from reference_model.karlo.text import TextPair
from reference_model.unet import Unet

NUM_TIMESTEPS = 1000


class KarloDecoder(nn.Module):
    """Raw z_i and a caption's encoding to a picture; eps with a learned variance."""

    def __init__(self, config: KarloDecoderConfig) -> None:
        super().__init__()
        self.config = config
        emb_width, width = config.unet.vector_width, config.unet.context_width
        self.unet = Unet(config.unet)
        self.null_z = nn.Parameter(torch.zeros(config.z_dim))
        self.z_to_vector = nn.Linear(config.z_dim, emb_width)
        self.z_t_to_vector = nn.Linear(config.z_dim, emb_width)
        self.z_to_tokens = nn.Linear(config.z_dim, config.num_z_tokens * width)
        self.text_to_context = nn.Linear(config.text_width, width)
        self.context_norm = nn.LayerNorm(width)
        self.schedule = Schedule("cosine", NUM_TIMESTEPS)

    def condition(self, z_i: Tensor, text: TextEncoding) -> tuple[Tensor, Tensor, Tensor]:
        """Return (vector [b, v], context [b, 4 + l, width], mask) that the U-Net reads."""
        vector = self.z_to_vector(z_i) + self.z_t_to_vector(text.z_t)
        z_tokens = self.z_to_tokens(z_i).view(len(z_i), self.config.num_z_tokens, -1)
        states = self.context_norm(self.text_to_context(text.states))
        known = torch.ones(z_tokens.shape[:2], dtype=torch.bool, device=z_i.device)
        mask = torch.cat([known, text.mask], dim=1)
        return vector, torch.cat([z_tokens, states], dim=1), mask

    def forward(
        self, x_t: Tensor, t: Tensor, vector: Tensor, context: Tensor, mask: Tensor
    ) -> Tensor:
        """Predict eps and the variance's place [b, 6, h, w]."""
        return self.unet(x_t, t, vector=vector, context=context, context_mask=mask)

    def from_projected(
        self, x_t: Tensor, t: Tensor, vector: Tensor, mask: Tensor, *context_kv: Tensor
    ) -> Tensor:
        """Predict as `forward` does, given the context's keys and values."""
        return self.unet(x_t, t, vector=vector, context_kv=context_kv, context_mask=mask)

    def projected(self, z_i: Tensor, text: TextEncoding) -> tuple[Tensor, ...]:
        """Return what `from_projected` reads: the same at every step, so made once."""
        vector, context, mask = self.condition(z_i, text)
        return vector, mask, *self.unet.project_context(context)

    def sample(  # noqa: PLR0913  (each is a setting of the stack)
        self,
        z_i: Tensor | None,
        text: TextPair,
        noise_keys: Sequence[NoiseKey],
        *,
        steps: int,
        guidance_scale: float,
        sampler: str = "ddpm-learned",
        eta: float = 0.0,
        steering: Steering = PLAIN,
    ) -> Tensor:
        """Return pictures [b, 3, size, size] in [-1, 1].

        Args:
            z_i: raw image embeddings [b, d]; None for the learned null one (caption only).
            text: of `KarloText.encode_pair`.
            noise_keys: (prompt id, seed) of each picture.
            steps: of the sampler, strided from T-1 to 0.
            guidance_scale: classifier-free, 1 = off (Karlo's own default is 8).
            sampler: a name of `diffusion.samplers.SAMPLERS`; Karlo's own is DDPM with the learned
                variance.
            eta: DDIM's share of fresh noise.
            steering: what else is done to the estimates.
        """
        noise = KeyedNoise(noise_keys, "decoder", self.null_z.device)
        shape = (3, self.config.image_size, self.config.image_size)
        null = self.null_z.expand(len(noise_keys), -1)
        conditions = (
            self.projected(null if z_i is None else z_i, text.given),
            self.projected(null, text.null) if guidance_scale != 1 else (),
        )
        denoise = steered(
            self.from_projected,
            conditions,
            guidance_scale,
            target="eps",
            schedule=self.schedule,
            steering=steering,
        )
        return sample(
            sampler,
            denoise,
            self.schedule,
            noise.draw(*shape),
            steps=spaced(sampler, NUM_TIMESTEPS, steps),
            draw=lambda: noise.draw(*shape),
            eta=eta,
        )
