"""A complete reference DALL·E 2 (Ramesh et al. 2022): CLIP, prior, decoder, upsamplers.

from reference_model import load
images = load("scenes").generate(["a red circle"], seeds=[0], guidance_scale=3.0)
"""

from __future__ import annotations

from reference_model.dalle2 import DALLE2, load
from reference_model.embedder import ClipEmbedder, load_clip
from reference_model.loading import load_network
from reference_model.manifest import CheckpointError, read_manifest

__all__ = [
    "DALLE2",
    "CheckpointError",
    "ClipEmbedder",
    "load",
    "load_clip",
    "load_network",
    "read_manifest",
]
