"""Karlo's prior: our causal transformer, sampled on strided steps, by DDPM if not told else."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from reference_model.diffusion.guidance import classifier_free
from reference_model.diffusion.noise import KeyedNoise, NoiseKey
from reference_model.diffusion.samplers import sample
from reference_model.diffusion.targets import Denoiser, denoiser
from reference_model.karlo.config import KarloPriorConfig
from reference_model.karlo.spacing import spaced
from reference_model.karlo.text import TextPair
from reference_model.prior import DiffusionPrior


class KarloPrior(nn.Module):
    """Samples CLIP's raw z_i; the null condition is the empty caption."""

    def __init__(self, config: KarloPriorConfig) -> None:
        super().__init__()
        self.config = config
        self.network = DiffusionPrior(config.network)

    def sample(
        self,
        text: TextPair,
        noise_keys: Sequence[NoiseKey],
        *,
        steps: int,
        guidance_scale: float = 1.0,
        candidates: int = 1,
        sampler: str = "ddpm",
    ) -> Tensor:
        """Return raw z_i [b, d]: of the candidates, the one with the largest cosine to z_t.

        Args:
            text: of `KarloText.encode_pair`.
            noise_keys: (prompt id, seed) of each sample.
            steps: of the sampler, strided from T-1 to 0.
            guidance_scale: classifier-free, 1 = off (Karlo's own default is 4).
            candidates: how many z_i are drawn for each prompt.
            sampler: a name of `diffusion.samplers.SAMPLERS`.
        """
        z_t = text.given.z_t
        noise = KeyedNoise(noise_keys, "prior", z_t.device)
        denoise, config = self._denoiser(text, guidance_scale), self.config.network

        def draw() -> Tensor:
            return noise.draw(config.z_dim)

        timesteps = spaced(sampler, config.num_timesteps, steps)
        schedule = self.network.schedule
        draws = torch.stack(
            [
                self._unscaled(
                    sample(sampler, denoise, schedule, draw(), steps=timesteps, draw=draw)
                )
                for _ in range(candidates)
            ]
        )
        best = functional.cosine_similarity(draws, z_t[None], dim=-1).argmax(dim=0)
        return draws[best, torch.arange(len(z_t), device=z_t.device)]

    def _denoiser(self, text: TextPair, guidance_scale: float) -> Denoiser:
        """Return the guided denoiser of these captions."""
        config, network = self.config.network, self.network
        known = torch.ones(len(text.given.z_t), dtype=torch.bool, device=network.z_mean.device)
        encodings = text if guidance_scale != 1 else text[:1]
        given, *null = (
            network.remember(states, mask, z_t, known) for z_t, states, mask in encodings
        )
        guided = classifier_free(network.continued, given, null[0] if null else (), guidance_scale)
        return denoiser(guided, config.target, network.schedule, clip_range=self.config.clip_range)

    def _unscaled(self, x0: Tensor) -> Tensor:
        """Bring a sample back to a raw embedding."""
        return x0 * self.network.z_std + self.network.z_mean
