"""The decoder (paper §2.1): an ADM U-Net to 64 px, conditioned on z_i and on the caption.

z_i enters twice: projected and added to the timestep embedding, and projected to extra context
tokens that stand before the text states. The text states come from a text encoder of the decoder's
own, as in GLIDE. Either condition can be the null one: a learned z_i, the empty caption.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from reference_model.config import DecoderConfig, TextEncoderConfig
from reference_model.diffusion.noise import KeyedNoise, NoiseKey
from reference_model.diffusion.samplers import Sampler, sample
from reference_model.diffusion.schedule import Schedule
from reference_model.diffusion.steering import PLAIN, Conditions, Steering, steered
from reference_model.diffusion.targets import Denoiser
from reference_model.timesteps import Steps
from reference_model.tokenizer import ByteTokenizer, CompactTokenizer
from reference_model.transformer import Transformer
from reference_model.unet import Unet


class TextEncoder(nn.Module):
    """Tokens to states, looking both ways; padding is a learned embedding (GLIDE)."""

    def __init__(self, config: TextEncoderConfig, vocabulary_size: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary_size, config.width)
        self.positions = nn.Parameter(0.02 * torch.randn(config.context_length, config.width))
        self.neighbours = (
            nn.Conv1d(config.width, config.width, config.neighbours, padding="same")
            if config.neighbours
            else None
        )
        self.transformer = Transformer(config.width, config.depth, config.heads)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map ids [b, l] to states [b, l, width]."""
        x = self.tokens(tokens) + self.positions
        if self.neighbours is not None:
            x = x + self.neighbours(x.transpose(1, 2)).transpose(1, 2)
        return self.transformer(x)


class Decoder(nn.Module):
    """z_i and a caption to a picture.

    Args:
        config: its shape and targets.
        vocabulary: BPE ids with a row of their own in the text encoder; bytes need none.
    """

    def __init__(self, config: DecoderConfig, vocabulary: Sequence[int]) -> None:
        super().__init__()
        self.config = config
        length = config.text.context_length
        self.tokenizer = (
            ByteTokenizer(length)
            if config.text.tokenizer == "bytes"
            else CompactTokenizer(vocabulary, length)
        )
        self.text_encoder = TextEncoder(config.text, self.tokenizer.size)
        self.unet = Unet(config.unet)
        self.null_z = nn.Parameter(torch.zeros(config.z_dim))
        self.z_to_vector = nn.Linear(config.z_dim, config.unet.vector_width)
        self.z_to_tokens = nn.Linear(config.z_dim, config.num_z_tokens * config.unet.context_width)
        self.text_to_context = nn.Linear(config.text.width, config.unet.context_width)
        self.text_to_vector = (
            nn.Linear(config.text.width, config.unet.vector_width) if config.pooled_text else None
        )
        self.schedule = Schedule(config.schedule, config.num_timesteps)

    def condition(self, z_i: Tensor, z_known: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return (vector [b, v], context [b, 4 + l, width]) that the U-Net reads.

        Args:
            z_i: unit-length image embeddings [b, d]; scaled here to unit variance an entry.
            z_known: True where z_i is given, False where it is the null one [b].
            tokens: caption ids [b, l]; `empty_caption` for none.
        """
        z = z_i * self.config.z_dim**0.5
        z = torch.where(z_known[:, None], z, self.null_z.to(z.dtype))
        states = self.text_encoder(tokens)
        vector = self.z_to_vector(z)
        if self.text_to_vector is not None:
            # The end token has the highest id, so argmax finds it.
            pooled = states[torch.arange(len(z)), tokens.argmax(dim=-1)]
            vector = vector + self.text_to_vector(pooled)
        z_tokens = self.z_to_tokens(z).view(len(z), self.config.num_z_tokens, -1)
        context = self.text_to_context(states).to(z_tokens.dtype)
        return vector, torch.cat([z_tokens, context], dim=1)

    def empty_caption(self, n: int) -> Tensor:
        """Return the ids of "" [n, l]."""
        return self.tokenizer([""] * n).to(self.null_z.device)

    def forward(self, x_t: Tensor, t: Tensor, vector: Tensor, context: Tensor) -> Tensor:
        """Predict the target for x_t [b, 3, h, w]."""
        return self.unet(x_t, t, vector=vector, context=context)

    def from_projected(self, x_t: Tensor, t: Tensor, vector: Tensor, *context_kv: Tensor) -> Tensor:
        """Predict the target as `forward` does, given the context's keys and values."""
        return self.unet(x_t, t, vector=vector, context_kv=context_kv)

    def sample(  # noqa: PLR0913  (each is a setting of the stack)
        self,
        z_i: Tensor | None,
        prompts: Sequence[str],
        noise_keys: Sequence[NoiseKey],
        *,
        steps: Steps,
        guidance_scale: float,
        sampler: str | Sampler = "ddim",
        eta: float = 0.0,
        steering: Steering = PLAIN,
    ) -> Tensor:
        """Return pictures [b, 3, size, size] in [-1, 1].

        Args:
            z_i: unit-length image embeddings [b, d]; None for the null one (caption only).
            prompts: captions; "" drops the caption.
            noise_keys: (prompt id, seed) of each picture.
            steps: of the sampler, or the timesteps that it visits.
            guidance_scale: classifier-free, 1 = off; the null condition drops z_i and the caption.
            sampler: a name of `diffusion.samplers.SAMPLERS`, or a sampler itself.
            eta: DDIM's share of fresh noise.
            steering: what else is done to the estimates.
        """
        noise = KeyedNoise(noise_keys, "decoder", self.null_z.device)
        shape = (3, self.config.image_size, self.config.image_size)
        x_T = noise.draw(*shape)
        return sample(
            sampler,
            self.denoiser(z_i, prompts, guidance_scale, steering),
            self.schedule,
            x_T,
            steps=steps,
            draw=lambda: noise.draw(*shape),
            eta=eta,
        )

    def denoiser(
        self,
        z_i: Tensor | None,
        prompts: Sequence[str],
        guidance_scale: float,
        steering: Steering = PLAIN,
    ) -> Denoiser:
        """Return the guided denoiser of these conditions, for any sampler."""
        return steered(
            self.from_projected,
            self._conditions(z_i, prompts, guided=guidance_scale != 1),
            guidance_scale,
            target=self.config.target,
            schedule=self.schedule,
            steering=steering,
        )

    def projected(self, z_i: Tensor, z_known: Tensor, tokens: Tensor) -> tuple[Tensor, ...]:
        """Return what `from_projected` reads: the same at every step, so made once."""
        vector, context = self.condition(z_i, z_known, tokens)
        return vector, *self.unet.project_context(context)

    def _conditions(
        self, z_i: Tensor | None, prompts: Sequence[str], *, guided: bool
    ) -> Conditions:
        """Return the conditions of the prompts and, where it is asked for, the null one."""
        n, device = len(prompts), self.null_z.device
        known = torch.full((n,), z_i is not None, device=device)
        z = torch.zeros(n, self.config.z_dim, device=device) if z_i is None else z_i
        given = self.projected(z, known, self.tokenizer(prompts).to(device))
        if not guided:
            return given, ()
        return given, self.projected(z, torch.zeros_like(known), self.empty_caption(n))
