"""What the training of a part besides the main line starts from: its network and its loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor

from reference_model import t5
from reference_model.ar_prior import AutoregressivePrior
from reference_model.classifier import NoisyClassifier
from reference_model.config import StackConfig
from reference_model.diffusion.schedule import Schedule
from reference_model.imagen import Imagen
from reference_model.loading import load_network
from reference_model.manifest import CheckpointError
from reference_model.pca import fit_pca
from reference_model.training.data import CaptionedImages
from reference_model.training.finished import (
    Built,
    Site,
    described,
    embedded_for,
    finished,
    finished_clip,
)
from reference_model.training.main_builders import built_upsampler
from reference_model.training.recipes import StageRecipe
from reference_model.training.rows import Rows
from reference_model.training.variant_losses import (
    classifier_step_loss,
    imagen_loss,
    prior_ar_loss,
)
from reference_model.variants import variants


def _prior_ar(stack: StackConfig, recipe: StageRecipe, data: CaptionedImages, site: Site) -> Built:
    """Fit components, buckets and products to the training embeddings; then it learns the codes."""
    clip, chosen = finished_clip(site.folder, site.device), variants(stack.name)
    embedded = embedded_for(site, recipe, clip, data)
    kept = len(fit_pca(embedded.z_i, energy=chosen.prior_energy).components)
    config = replace(chosen.prior_ar, num_components=kept)
    prior = AutoregressivePrior(config).to(site.device)
    prior.fit_codes(embedded.z_i, embedded.z_t)

    def loss(rows: Rows) -> Tensor:
        return prior_ar_loss(prior, clip, embedded, rows=rows)

    return prior, loss, described("prior-ar", config)


def _classifier(
    stack: StackConfig, recipe: StageRecipe, data: CaptionedImages, site: Site
) -> Built:
    """Learn the classes that the data's captions name, on the decoder's noise and picture size."""
    shape, classes = variants(stack.name).classifier, tuple(data.classes())
    if shape is None or not classes:
        raise ValueError(f"the classifier of {stack.name!r} needs a shape, and data with classes")
    decoder = stack.decoder
    config = replace(
        shape, classes=classes, schedule=decoder.schedule, num_timesteps=decoder.num_timesteps
    )
    classifier = NoisyClassifier(config).to(site.device)
    schedule = Schedule(config.schedule, config.num_timesteps)

    def loss(rows: Rows) -> Tensor:
        return classifier_step_loss(
            classifier,
            schedule,
            data,
            rows=rows,
            image_size=decoder.image_size,
            noise_shift=recipe.noise_shift,
        )

    return classifier, loss, described("classifier", config)


def _decoder_imagen(
    stack: StackConfig, recipe: StageRecipe, data: CaptionedImages, site: Site
) -> Built:
    """Learn pictures from the token states and the pooled text of a frozen encoder, without z_i."""
    config = variants(stack.name).decoder_imagen
    if config is None:
        raise ValueError(f"preset {stack.name!r} has no decoder-imagen")
    encoder: Any
    if recipe.part == "decoder-imagen-t5":
        encoder = _t5(site)
        width = encoder.config.architecture["d_model"]
        config = replace(config, pooled_width=width, text_width=width, text_encoder=t5.PART)
    else:
        encoder = finished_clip(site.folder, site.device)
    model = Imagen(config).to(site.device)

    def loss(rows: Rows) -> Tensor:
        return imagen_loss(
            model,
            encoder,
            data,
            rows=rows,
            noise_shift=recipe.noise_shift,
        )

    return model, loss, described("imagen", config)


def _t5(site: Site) -> Any:
    """Load the T5 that lies beside the weights."""
    manifest = finished(site.folder, "clip")
    if t5.PART not in manifest.parts:
        raise CheckpointError(
            f"{site.folder} holds no {t5.PART} yet; give --text-encoder FOLDER, a local T5"
        )
    return load_network(manifest, t5.PART, device=site.device)


def _upsampler_efficient(
    stack: StackConfig, recipe: StageRecipe, data: CaptionedImages, site: Site
) -> Built:
    config = variants(stack.name).upsampler_256_efficient
    if config is None:
        raise ValueError(f"preset {stack.name!r} has no upsampler-256-efficient")
    return built_upsampler(config, data, site)


VARIANT_BUILDERS: dict[str, Callable[..., Built]] = {
    "prior-ar": _prior_ar,
    "classifier": _classifier,
    "decoder-imagen": _decoder_imagen,
    "decoder-imagen-t5": _decoder_imagen,
    "upsampler-256-efficient": _upsampler_efficient,
}
