"""What the training of a part besides the main line starts from: its network and its loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from reference_model.ar_prior import AutoregressivePrior
from reference_model.clip import Clip
from reference_model.config import StackConfig
from reference_model.pca import fit_pca
from reference_model.training.data import CaptionedImages
from reference_model.training.finished import Built, described, finished_clip
from reference_model.training.recipes import StageRecipe
from reference_model.training.stages import PRIOR_EMBEDDINGS, EmbeddedCaptions
from reference_model.training.variant_losses import prior_ar_loss
from reference_model.variants import variants


def _prior_ar(
    stack: StackConfig, recipe: StageRecipe, data: CaptionedImages, out: Path, device: str
) -> Built:
    """Fit components, buckets and products to the training embeddings; then it learns the codes."""
    clip, chosen = finished_clip(out, device), variants(stack.name)
    embedded = EmbeddedCaptions(clip, data, PRIOR_EMBEDDINGS)
    kept = len(fit_pca(embedded.z_i, energy=chosen.prior_energy).components)
    config = replace(chosen.prior_ar, num_components=kept)
    prior = AutoregressivePrior(config).to(device)
    prior.fit_codes(embedded.z_i, _text_embeddings(clip, embedded.tokens))
    size = recipe.loop.batch_size

    def loss(step: int) -> Tensor:
        return prior_ar_loss(prior, clip, embedded, batch_size=size, step=step)

    return prior, loss, described("prior-ar", config)


def _text_embeddings(clip: Clip, tokens: Tensor, batch_size: int = 512) -> Tensor:
    """Return z_t [n, d] of token ids [n, l]."""
    with torch.no_grad():
        return torch.cat([clip.encode_tokens(part).z_t.float() for part in tokens.split(batch_size)])


VARIANT_BUILDERS: dict[str, Callable[..., Built]] = {"prior-ar": _prior_ar}
