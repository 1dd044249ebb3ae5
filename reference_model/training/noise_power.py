"""Measures the noise power of a trained part on its training data, for Analytic-DPM.

Bao et al. 2022 (arXiv 2201.06503, Eq. 8): a Monte Carlo mean of the squared eps_hat over noised
training samples, at every timestep. The denoiser is the one that samples: with the conditions of
each sample, its own bounds on x0_hat, and unguided, since guidance is a choice of the arm.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reference_model.checkpoint import save_part
from reference_model.clip import Clip, to_model_range
from reference_model.config import NoisePowerConfig
from reference_model.diffusion.analytic import measure_noise_power
from reference_model.diffusion.steering import PLAIN
from reference_model.diffusion.targets import Denoiser
from reference_model.imagen import Imagen
from reference_model.loading import load_network
from reference_model.manifest import Part
from reference_model.prior import DiffusionPrior
from reference_model.training.data import CaptionedImages
from reference_model.training.finished import finished, finished_clip
from reference_model.training.stages import generator
from reference_model.training.variant_recipes import Measurement

PURPOSE = 7  # of the random source; the losses have the others


def measure_noise_power_of(
    wanted: Measurement, data: CaptionedImages, folder: Path, device: str
) -> None:
    """Measure a part's noise power at all timesteps and write it beside the part.

    Args:
        wanted: what is measured, on how many samples.
        data: of training.
        folder: of the weights.
        device: where the networks run.

    Raises:
        CheckpointError: the part, or CLIP, is not trained yet.
    """
    manifest, started = finished(folder, wanted.part), time.monotonic()
    clip = finished_clip(folder, device)
    network = load_network(manifest, wanted.part, device=device)
    timesteps = range(network.schedule.num_timesteps - 1, -1, -1)
    total = torch.zeros(len(timesteps), dtype=torch.float64)
    with torch.inference_mode():
        for start in range(0, wanted.num_samples, wanted.batch_size):
            n = min(wanted.batch_size, wanted.num_samples - start)
            denoise, x0 = _conditioned(network, clip, data, start, n)
            total += n * _powers(denoise, network.schedule, x0, timesteps, start)
    config = NoisePowerConfig(
        of=manifest.part(wanted.part).identity,
        num_timesteps=len(timesteps),
        num_samples=wanted.num_samples,
    )
    training = {"stage": wanted.stage, "seconds": round(time.monotonic() - started, 1)}
    part = Part(kind="noise-power", file="", sha256="", config=asdict(config), training=training)
    power = (total / wanted.num_samples).float()
    save_part(folder, wanted.stage, part, {"power": power}, weights_name=manifest.name, exact=True)


def _powers(
    denoise: Denoiser, schedule: Any, x0: Tensor, timesteps: Sequence[int], start: int
) -> Tensor:
    """Return the power [T] of one batch by rising timestep; its noise is of ``start`` alone."""
    source = generator(start, PURPOSE)

    def draw() -> Tensor:
        return torch.randn(x0.shape, generator=source).to(x0)

    power = measure_noise_power(denoise, schedule, x0, steps=timesteps, draw=draw)
    return torch.tensor([power[t] for t in sorted(timesteps)], dtype=torch.float64)


def _conditioned(
    network: Any, clip: Clip, data: CaptionedImages, start: int, n: int
) -> tuple[Denoiser, Tensor]:
    """Return a part's denoiser of these samples' conditions, and the samples as it sees them."""
    if not isinstance(network, DiffusionPrior):
        batch = data.batch(start, n, network.config.image_size)
        x0 = to_model_range(batch.images, clip.device)
        if isinstance(network, Imagen):
            return network.denoiser(clip.encode_text(batch.captions), 1.0, PLAIN), x0
        return network.denoiser(clip.encode_images(x0).float(), batch.captions, 1.0), x0
    batch = data.batch(start, n, clip.config.image_size)
    z_i = clip.encode_images(to_model_range(batch.images, clip.device)).float()
    return network.denoiser(tuple(clip.encode_text(batch.captions)), 1.0), network.scale(z_i)
