"""A CLIP as numpy sees it: pictures and texts in, features out. Loaded when first used."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference_model.loading import load_network
from reference_model.manifest import Manifest, read_manifest

BATCH = 64


def load_clip(name: str | Path, *, device: str = "cpu") -> ClipEmbedder:
    """Return the CLIP of a set of weights (its part ``clip``), such as ``scenes-judge``.

    Raises:
        CheckpointError: no such weights, or they have no CLIP.
    """
    manifest = read_manifest(name)
    manifest.part("clip")
    return ClipEmbedder(manifest, device=device)


class ClipEmbedder:
    """Features of uint8 pictures and of texts."""

    def __init__(self, manifest: Manifest, *, device: str = "cpu") -> None:
        self._manifest = manifest
        self._device = device

    @property
    def name(self) -> str:
        """Name of the weights."""
        return self._manifest.name

    @property
    def weights(self) -> str:
        """SHA-256 of the weights with their architecture and vocabulary."""
        return self._manifest.part("clip").identity

    @property
    def dimension(self) -> int:
        """Width of the features."""
        return int(self._manifest.part("clip").config["embed_dim"])

    @functools.cached_property
    def _clip(self) -> Any:
        return load_network(self._manifest, "clip", device=self._device)

    def embed_images(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return features [n, d] of uint8 [n, h, w, 3], before normalisation."""
        import torch

        from reference_model.clip import to_model_range

        with torch.inference_mode():
            parts = [
                self._clip.image_features(to_model_range(images[k : k + BATCH], self._device))
                for k in range(0, len(images), BATCH)
            ]
            return torch.cat(parts).float().cpu().numpy()

    def embed_aligned_images(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return unit-length image features [n, d] in the texts' space."""
        features = self.embed_images(images)
        return features / np.linalg.norm(features, axis=1, keepdims=True)

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit-length text features [n, d]."""
        import torch

        with torch.inference_mode():
            parts = [
                self._clip.encode_text(texts[k : k + BATCH]).z_t
                for k in range(0, len(texts), BATCH)
            ]
            return torch.cat(parts).float().cpu().numpy()
