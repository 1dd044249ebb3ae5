"""What the training of a part besides the main line starts from: its network and its loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from reference_model.ar_prior import AutoregressivePrior
from reference_model.classifier import NoisyClassifier
from reference_model.clip import Clip
from reference_model.config import StackConfig
from reference_model.diffusion.schedule import Schedule
from reference_model.pca import fit_pca
from reference_model.training.data import CaptionedImages
from reference_model.training.finished import Built, described, finished_clip
from reference_model.training.recipes import StageRecipe
from reference_model.training.stages import PRIOR_EMBEDDINGS, EmbeddedCaptions
from reference_model.training.variant_losses import classifier_step_loss, prior_ar_loss
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


def _classifier(
    stack: StackConfig, recipe: StageRecipe, data: CaptionedImages, out: Path, device: str
) -> Built:
    """Learn the classes that the data's captions name, on the decoder's noise and picture size."""
    shape, classes = variants(stack.name).classifier, tuple(data.classes())
    if shape is None or not classes:
        raise ValueError(f"the classifier of {stack.name!r} needs a shape, and data with classes")
    decoder = stack.decoder
    config = replace(
        shape, classes=classes, schedule=decoder.schedule, num_timesteps=decoder.num_timesteps
    )
    classifier = NoisyClassifier(config).to(device)
    schedule = Schedule(config.schedule, config.num_timesteps)

    def loss(step: int) -> Tensor:
        return classifier_step_loss(
            classifier,
            schedule,
            data,
            batch_size=recipe.loop.batch_size,
            image_size=decoder.image_size,
            step=step,
            noise_shift=recipe.noise_shift,
        )

    return classifier, loss, described("classifier", config)


VARIANT_BUILDERS: dict[str, Callable[..., Built]] = {
    "prior-ar": _prior_ar,
    "classifier": _classifier,
}
