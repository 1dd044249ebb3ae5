"""What a stage of training begins from and ends with: the parts before it, and its own."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from reference_model.checkpoint import load_part
from reference_model.clip import Clip
from reference_model.config import ClipConfig
from reference_model.manifest import CheckpointError, Manifest, Part, read_manifest
from reference_model.training.data import CaptionedImages
from reference_model.training.embeddings import Cache, EmbeddedCaptions, embedded
from reference_model.training.loop import Loss
from reference_model.training.recipes import StageRecipe

Built = tuple[nn.Module, Loss, Part]  # a network, its loss, and how the manifest describes it


class Site(NamedTuple):
    """Where a part is built.

    Attributes:
        folder: of the weights whose parts it builds on, and that it becomes one of.
        device: where its networks run.
        cache: of embeddings.
    """

    folder: Path
    device: str
    cache: Cache | None = None


def finished(folder: Path, name: str) -> Manifest:
    """Return the manifest of weights that hold a finished part.

    Raises:
        CheckpointError: they do not; the message names the stage to train first.
    """
    manifest = read_manifest(folder) if (folder / "manifest.json").exists() else None
    if manifest is None or name not in manifest.parts:
        raise CheckpointError(f"{folder} holds no trained {name} yet; train the stage {name} first")
    return manifest


def finished_clip(folder: Path, device: str) -> Any:
    """Load the finished CLIP that the next stages build on."""
    return load_part(finished(folder, "clip"), "clip", Clip, ClipConfig, device=device)


def described(kind: str, config: Any, vocabulary: tuple[int, ...] = ()) -> Part:
    """Return a part as the manifest describes it, its file still to be written."""
    return Part(kind=kind, file="", sha256="", config=asdict(config), vocabulary=vocabulary)


def embedded_for(
    site: Site, recipe: StageRecipe, clip: Clip, data: CaptionedImages
) -> EmbeddedCaptions:
    """Return the embeddings that a prior learns from."""
    made_of = {
        "clip": finished(site.folder, "clip").part("clip").identity,
        "stream": recipe.stream,
        "held_out": recipe.held_out,
        "mix": recipe.mix,
    }
    return embedded(clip, data, recipe.embeddings, cache=site.cache, made_of=made_of)
