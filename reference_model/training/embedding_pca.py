"""Measures the principal components of the finished CLIP's z_i on training data (paper §4.1)."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from reference_model.checkpoint import save_part
from reference_model.clip import Clip, to_model_range
from reference_model.config import EmbeddingPcaConfig
from reference_model.manifest import CheckpointError, Part
from reference_model.pca import fit_pca
from reference_model.training.data import CaptionedImages
from reference_model.training.finished import finished, finished_clip
from reference_model.training.variant_recipes import Measurement


def measure_components(
    wanted: Measurement, data: CaptionedImages, folder: Path, device: str
) -> None:
    """Fit all principal components of z_i and write them beside the CLIP.

    Args:
        wanted: on how many pictures.
        data: of training.
        folder: of the weights.
        device: where CLIP runs.

    Raises:
        CheckpointError: CLIP is not trained yet, or the pictures are fewer than z_i has entries.
    """
    manifest, started = finished(folder, wanted.part), time.monotonic()
    clip = finished_clip(folder, device)
    pca = fit_pca(_embeddings(clip, data, wanted))
    num, z_dim = pca.components.shape
    if num < z_dim:
        raise CheckpointError(
            f"{wanted.num_samples} pictures have {num} principal components, z_i has {z_dim} "
            "entries; measure on more"
        )
    config = EmbeddingPcaConfig(
        of=manifest.part(wanted.part).identity, z_dim=z_dim, num_samples=wanted.num_samples
    )
    training = {"stage": wanted.stage, "seconds": round(time.monotonic() - started, 1)}
    part = Part(kind="embedding-pca", file="", sha256="", config=asdict(config), training=training)
    tensors = {k: v.contiguous() for k, v in pca._asdict().items()}
    save_part(folder, wanted.stage, part, tensors, weights_name=manifest.name, exact=True)


def _embeddings(clip: Clip, data: CaptionedImages, wanted: Measurement) -> Tensor:
    """Return z_i [n, d] of training pictures."""
    made = []
    with torch.inference_mode():
        for start in range(0, wanted.num_samples, wanted.batch_size):
            n = min(wanted.batch_size, wanted.num_samples - start)
            batch = data.batch(start, n, clip.config.image_size)
            images = to_model_range(batch.images, clip.device)
            made.append(clip.encode_images(images).float().cpu())
    return torch.cat(made)
