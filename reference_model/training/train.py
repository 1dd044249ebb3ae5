"""`train`: run a recipe's stages in order, each resumable; weights are written as each ends."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from reference_model.checkpoint import load_tensors, save_part
from reference_model.clip import Clip
from reference_model.config import ClipConfig, StackConfig
from reference_model.decoder import Decoder
from reference_model.manifest import verify
from reference_model.presets import preset, scenes_judge
from reference_model.prior import DiffusionPrior
from reference_model.spelling import nearest
from reference_model.tokenizer import vocabulary_of
from reference_model.training.contrastive import contrastive_loss
from reference_model.training.data import CaptionedImages
from reference_model.training.finished import Built, described, finished, finished_clip
from reference_model.training.loop import Loop
from reference_model.training.noise_power import measure
from reference_model.training.recipes import RECIPES, StageRecipe
from reference_model.training.stages import (
    PRIOR_EMBEDDINGS,
    Corruption,
    EmbeddedCaptions,
    decoder_loss,
    prior_loss,
    upsampler_loss,
)
from reference_model.training.text_encoder import READER, keep_t5
from reference_model.training.variant_builders import VARIANT_BUILDERS
from reference_model.training.variant_recipes import VARIANT_RECIPES, Measurement
from reference_model.upsamplers import Upsampler

SEEDS_APART = 1000  # between repeats, so that no two stages of two repeats begin alike


class DataFactory(Protocol):
    """Makes the captioned images of one stream; streams never share a sample."""

    def __call__(self, *, stream: int, held_out: bool, mix: str) -> CaptionedImages:
        """Return the source; ``mix`` names the kinds of samples that it favours."""


def train(  # noqa: PLR0913  (the command's options by their names)
    recipe: str,
    data: DataFactory,
    *,
    stage: str | None,
    work: Path,
    out: Path,
    device: str = "cpu",
    seed: int = 0,
    text_encoder: Path | None = None,
) -> None:
    """Train all parts of a recipe, or one, and write them to ``out``.

    A killed training goes on from its last checkpoint when called again with the same ``work``.

    Args:
        recipe: name in `RECIPES`.
        data: makes the data of a stream.
        stage: one part's name; None for all of the main line, in order.
        work: folder of checkpoints and logs, one sub-folder a part.
        out: folder of the finished weights, one sub-folder a set.
        device: ``cpu`` or ``cuda``.
        seed: of a repeat: 0 is the recipe itself, any other begins from other initial weights.
        text_encoder: folder of a T5 in transformers' layout, for the stage decoder-imagen-t5; it
            becomes a part of the weights, so a training that goes on needs it no more.

    Raises:
        ValueError: unknown recipe or stage.
        CheckpointError: a part that this stage needs is not trained yet.
    """
    if text_encoder is not None and stage != READER:
        raise ValueError(f"a text encoder is read by the stage {READER} alone, not by {stage}")
    for chosen in _choose(recipe, stage):
        if text_encoder is not None:
            keep_t5(text_encoder, out / chosen.weights)
        if isinstance(chosen, Measurement):
            sys.stderr.write(f"measuring {recipe}/{chosen.stage}\n")
            source = data(stream=chosen.stream, held_out=False, mix=chosen.mix)
            measure(chosen, source, out / chosen.weights, device)
            continue
        sys.stderr.write(f"training {recipe}/{chosen.stage}: {chosen.loop.steps} steps\n")
        repeat = replace(chosen, seed=chosen.seed + SEEDS_APART * seed)
        _train_part(preset(recipe), repeat, data, work / chosen.stage, out, device)


def _choose(recipe: str, stage: str | None) -> list[StageRecipe | Measurement]:
    if recipe not in RECIPES:
        raise ValueError(f"unknown recipe {recipe!r}{nearest(recipe, RECIPES)}")
    if stage is None:
        return list(RECIPES[recipe].values())
    parts = {**RECIPES[recipe], **VARIANT_RECIPES.get(recipe, {})}
    if stage not in parts:
        raise ValueError(f"recipe {recipe!r} has no stage {stage!r}{nearest(stage, parts)}")
    return [parts[stage]]


def _train_part(
    stack: StackConfig,
    recipe: StageRecipe,
    data: DataFactory,
    work: Path,
    out: Path,
    device: str,
) -> None:
    source = data(stream=recipe.stream, held_out=recipe.held_out, mix=recipe.mix)
    torch.manual_seed(recipe.seed)
    network, loss, part = BUILDERS[recipe.part](stack, recipe, source, out / recipe.weights, device)
    saved_as, earlier = recipe.saved_as or recipe.part, {}
    if recipe.goes_on:
        earlier["before"] = _start_from(network, out / recipe.weights, saved_as, recipe.stage)
    loop = Loop(network, loss, recipe.loop, work)
    tensors = loop.run()
    training = {
        **earlier,
        "stage": recipe.stage,
        "seed": recipe.seed,
        "steps": loop.step,
        "images": loop.step * recipe.loop.batch_size,
        "seconds": loop.seconds,
        "loop": asdict(recipe.loop),
    }
    part = replace(part, training=training)
    save_part(
        out / recipe.weights,
        saved_as,
        part,
        tensors,
        weights_name=recipe.weights,
    )


def _start_from(network: nn.Module, folder: Path, name: str, stage: str) -> dict[str, Any]:
    """Fill a network with its part's trained weights and return what is known of their training."""
    manifest = finished(folder, name)
    verify(manifest, name)
    load_tensors(network, manifest.path(name))
    training = manifest.part(name).training
    # Called again when it is finished, the stage finds its own result there.
    before: dict[str, Any] = training["before"] if training.get("stage") == stage else training
    return before


def _contrastive(
    config: ClipConfig, recipe: StageRecipe, data: CaptionedImages, device: str
) -> Built:
    vocabulary = vocabulary_of(data.all_captions())
    clip = Clip(config, vocabulary).to(device)
    size = recipe.loop.batch_size

    def loss(step: int) -> torch.Tensor:
        return contrastive_loss(clip, data, batch_size=size, step=step)

    return clip, loss, described("clip", config, vocabulary)


def _clip(
    stack: StackConfig, recipe: StageRecipe, data: CaptionedImages, out: Path, device: str
) -> Built:
    return _contrastive(stack.clip, recipe, data, device)


def _judge(
    stack: StackConfig, recipe: StageRecipe, data: CaptionedImages, out: Path, device: str
) -> Built:
    return _contrastive(scenes_judge(), recipe, data, device)


def _decoder(
    stack: StackConfig, recipe: StageRecipe, data: CaptionedImages, out: Path, device: str
) -> Built:
    clip = finished_clip(out, device)
    vocabulary = clip.tokenizer.vocabulary
    decoder = Decoder(stack.decoder, vocabulary).to(device)
    size = recipe.loop.batch_size
    config = stack.decoder
    later = Corruption(config.z_dropout, config.text_dropout)

    def loss(step: int) -> torch.Tensor:
        return decoder_loss(
            decoder,
            clip,
            data,
            batch_size=size,
            step=step,
            corruption=recipe.corruption(step, later),
            noise_shift=recipe.noise_shift,
        )

    return decoder, loss, described("decoder", stack.decoder, vocabulary)


def _prior(
    stack: StackConfig, recipe: StageRecipe, data: CaptionedImages, out: Path, device: str
) -> Built:
    clip = finished_clip(out, device)
    target = "eps" if recipe.part == "prior-eps" else "x0"
    config = replace(stack.prior, target=target)
    prior = DiffusionPrior(config).to(device)
    embedded = EmbeddedCaptions(clip, data, PRIOR_EMBEDDINGS)
    prior.z_mean.copy_(embedded.z_i.mean(dim=0))
    prior.z_std.copy_(embedded.z_i.std(dim=0))
    size = recipe.loop.batch_size

    def loss(step: int) -> torch.Tensor:
        return prior_loss(prior, clip, embedded, batch_size=size, step=step)

    return prior, loss, described("prior", config)


def _upsampler(
    stack: StackConfig, recipe: StageRecipe, data: CaptionedImages, out: Path, device: str
) -> Built:
    config = stack.upsampler_256 if recipe.part == "upsampler-256" else stack.upsampler_1024
    upsampler = Upsampler(config).to(device)
    size = recipe.loop.batch_size

    def loss(step: int) -> torch.Tensor:
        return upsampler_loss(upsampler, data, batch_size=size, step=step)

    return upsampler, loss, described("upsampler", config)


BUILDERS: dict[str, Callable[..., Built]] = {
    "clip": _clip,
    "judge": _judge,
    "prior": _prior,
    "prior-eps": _prior,
    "decoder": _decoder,
    "upsampler-256": _upsampler,
    "upsampler-1024": _upsampler,
    **VARIANT_BUILDERS,
}
