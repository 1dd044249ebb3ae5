"""What the training of each part of the main line starts from: its network and its loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor

from reference_model.clip import Clip
from reference_model.config import ClipConfig, StackConfig, UpsamplerConfig
from reference_model.decoder import Decoder
from reference_model.presets import scenes_judge
from reference_model.prior import DiffusionPrior
from reference_model.tokenizer import vocabulary_of
from reference_model.training.contrastive import ContrastiveLoss
from reference_model.training.data import CaptionedImages
from reference_model.training.finished import (
    Built,
    Site,
    described,
    embedded_for,
    finished_clip,
)
from reference_model.training.recipes import StageRecipe
from reference_model.training.rows import Rows
from reference_model.training.stages import (
    Corruption,
    decoder_loss,
    prior_loss,
    upsampler_loss,
)
from reference_model.upsamplers import Upsampler


def _contrastive(config: ClipConfig, data: CaptionedImages, site: Site) -> Built:
    vocabulary = vocabulary_of(data.all_captions())
    clip = Clip(config, vocabulary).to(site.device)
    return clip, ContrastiveLoss(clip, data), described("clip", config, vocabulary)


def _clip(stack: StackConfig, recipe: StageRecipe, data: CaptionedImages, site: Site) -> Built:
    return _contrastive(stack.clip, data, site)


def _judge(stack: StackConfig, recipe: StageRecipe, data: CaptionedImages, site: Site) -> Built:
    return _contrastive(scenes_judge(), data, site)


def _clip_for(stack: StackConfig, z_dim: int, site: Site) -> Any:
    """Load the finished CLIP, whose z_i a part of this preset shall read.

    Raises:
        ValueError: it is of another preset.
    """
    clip = finished_clip(site.folder, site.device)
    if clip.config.embed_dim != z_dim:
        raise ValueError(
            f"the CLIP in {site.folder} makes z_i of {clip.config.embed_dim} numbers, and a part "
            f"of preset {stack.name} reads {z_dim}; train every stage with one --preset"
        )
    return clip


def _decoder(stack: StackConfig, recipe: StageRecipe, data: CaptionedImages, site: Site) -> Built:
    config = stack.decoder
    clip = _clip_for(stack, config.z_dim, site)
    vocabulary = clip.tokenizer.vocabulary
    decoder = Decoder(config, vocabulary).to(site.device)
    later = Corruption(config.z_dropout, config.text_dropout)

    def loss(rows: Rows) -> Tensor:
        return decoder_loss(
            decoder,
            clip,
            data,
            rows=rows,
            corruption=recipe.corruption(rows.step, later),
            noise_shift=recipe.noise_shift,
        )

    return decoder, loss, described("decoder", config, vocabulary)


def _prior(stack: StackConfig, recipe: StageRecipe, data: CaptionedImages, site: Site) -> Built:
    config = replace(stack.prior, target="eps") if recipe.part == "prior-eps" else stack.prior
    clip = _clip_for(stack, config.z_dim, site)
    prior = DiffusionPrior(config).to(site.device)
    embedded = embedded_for(site, recipe, clip, data)
    prior.z_mean.copy_(embedded.z_i.mean(dim=0))
    prior.z_std.copy_(embedded.z_i.std(dim=0))

    def loss(rows: Rows) -> Tensor:
        return prior_loss(prior, clip, embedded, rows=rows, weighting=recipe.loss_weighting)

    return prior, loss, described("prior", config)


def _upsampler(stack: StackConfig, recipe: StageRecipe, data: CaptionedImages, site: Site) -> Built:
    small = recipe.part == "upsampler-256"
    return built_upsampler(stack.upsampler_256 if small else stack.upsampler_1024, data, site)


def built_upsampler(config: UpsamplerConfig, data: CaptionedImages, site: Site) -> Built:
    """Return an upsampler of any shape with its loss."""
    upsampler = Upsampler(config).to(site.device)

    def loss(rows: Rows) -> Tensor:
        return upsampler_loss(upsampler, data, rows=rows)

    return upsampler, loss, described("upsampler", config)


MAIN_BUILDERS: dict[str, Callable[..., Built]] = {
    "clip": _clip,
    "judge": _judge,
    "prior": _prior,
    "prior-eps": _prior,
    "decoder": _decoder,
    "upsampler-256": _upsampler,
    "upsampler-1024": _upsampler,
}
