"""`train`: run a recipe's stages in order, each resumable; weights are written as each ends."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import nn

from reference_model.checkpoint import load_tensors, save_part
from reference_model.config import StackConfig
from reference_model.manifest import Part, verify
from reference_model.presets import preset as named_preset
from reference_model.spelling import nearest
from reference_model.training.changes import apply_changes
from reference_model.training.data import CaptionedImages
from reference_model.training.embedding_pca import measure_components
from reference_model.training.embeddings import Cache
from reference_model.training.evaluation import Judge, evaluation
from reference_model.training.finished import Built, Site, finished
from reference_model.training.loop import Loop
from reference_model.training.main_builders import MAIN_BUILDERS
from reference_model.training.noise_power import measure_noise_power_of
from reference_model.training.processes import join, rank, wait_for_all
from reference_model.training.recipes import PRESET_OF, RECIPES, StageRecipe
from reference_model.training.text_encoder import READER, keep_t5
from reference_model.training.variant_builders import VARIANT_BUILDERS
from reference_model.training.variant_recipes import VARIANT_RECIPES, Measurement

SEEDS_APART = 1000  # between repeats, so that no two stages of two repeats begin alike
BUILDERS: dict[str, Callable[..., Built]] = {**MAIN_BUILDERS, **VARIANT_BUILDERS}
MEASURES = {"noise-power": measure_noise_power_of, "pca": measure_components}


class DataFactory(Protocol):
    """Makes the captioned images of one stream; streams never share a sample."""

    def __call__(self, *, stream: int, held_out: bool, mix: str) -> CaptionedImages:
        """Return the source; ``mix`` names the kinds of samples that it favours."""


class _Place(NamedTuple):
    """Where a part is trained, and on what."""

    work: Path
    site: Site
    data_identity: str
    judge: Judge | None


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
    preset: str | None = None,
    changes: Mapping[str, Any] | None = None,
    data_identity: str = "",
    cache: Cache | None = None,
    judge: Judge | None = None,
) -> None:
    """Train all parts of a recipe, or one, and write them to ``out``.

    A killed training goes on from its last checkpoint when called again with the same ``work``.
    Started by torchrun, its processes train together.

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
        preset: the architecture, where it is not the recipe's own.
        changes: fields of recipe and architecture by their paths, see `changes.apply_changes`.
        data_identity: hash of the data; a training on other data does not go on.
        cache: keeps the embeddings that priors are trained on; they are made anew without one.
        judge: measures the averaged weights every ``loop.evaluate_every`` steps.

    Raises:
        ValueError: unknown recipe, stage, preset or field.
        CheckpointError: a part that this stage needs is not trained yet.
    """
    if text_encoder is not None and stage != READER:
        raise ValueError(f"a text encoder is read by the stage {READER} alone, not by {stage}")
    chosen = choose(recipe, stage)
    stack = named_preset(preset or PRESET_OF.get(recipe, recipe))
    planned = [_changed(stack, one, seed, changes or {}) for one in chosen]
    device = join(device)
    if text_encoder is not None and rank() == 0:
        keep_t5(text_encoder, out / chosen[0].weights)
    wait_for_all()
    for shapes, one in planned:
        source = data(stream=one.stream, held_out=_held_out(one), mix=one.mix)
        site = Site(out / one.weights, device, cache)
        if isinstance(one, Measurement):
            _measure(recipe, one, source, site)
            continue
        if rank() == 0:
            sys.stderr.write(f"training {recipe}/{one.stage}: {one.loop.steps} steps\n")
        _train_part(shapes, one, source, _Place(work / one.stage, site, data_identity, judge))


def choose(recipe: str, stage: str | None) -> list[StageRecipe | Measurement]:
    """Return a recipe's stage, or all of its main line; ValueError names near matches."""
    if recipe not in RECIPES:
        raise ValueError(f"unknown recipe {recipe!r}{nearest(recipe, RECIPES)}")
    if stage is None:
        return list(RECIPES[recipe].values())
    parts = {**RECIPES[recipe], **VARIANT_RECIPES.get(recipe, {})}
    if stage not in parts:
        raise ValueError(f"recipe {recipe!r} has no stage {stage!r}{nearest(stage, parts)}")
    return [parts[stage]]


def _changed(
    stack: StackConfig, one: StageRecipe | Measurement, seed: int, changes: Mapping[str, Any]
) -> tuple[StackConfig, StageRecipe | Measurement]:
    """Return what a stage is trained as: its repeat, with the fields that are set."""
    if not isinstance(one, Measurement):
        repeat = replace(one, seed=one.seed + SEEDS_APART * seed)
        return apply_changes(stack, repeat, changes)
    if changes:
        raise ValueError(f"the stage {one.stage} measures and trains nothing: no field is its own")
    return stack, one


def _held_out(one: StageRecipe | Measurement) -> bool:
    return isinstance(one, StageRecipe) and one.held_out


def _measure(recipe: str, one: Measurement, source: CaptionedImages, site: Site) -> None:
    """Measure in the first process, while the others wait."""
    if rank() == 0:
        sys.stderr.write(f"measuring {recipe}/{one.stage}\n")
        MEASURES[one.what](one, source, site.folder, site.device)
    wait_for_all()


def _train_part(
    stack: StackConfig, recipe: StageRecipe, data: CaptionedImages, place: _Place
) -> None:
    torch.manual_seed(recipe.seed)
    out = place.site.folder
    network, loss, part = BUILDERS[recipe.part](stack, recipe, data, place.site)
    saved_as, earlier = recipe.saved_as or recipe.part, {}
    if recipe.goes_on:
        earlier["before"] = _start_from(network, out, saved_as, recipe.stage)
    identity = _identity(part, recipe, place.data_identity)
    evaluate = evaluation(place.judge, recipe, part, weights=out, work=place.work)
    loop = Loop(network, loss, recipe.loop, place.work, evaluate, identity=identity)
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
    if rank() == 0:
        save_part(out, saved_as, part, tensors, weights_name=recipe.weights)
    wait_for_all()


def _identity(part: Part, recipe: StageRecipe, data: str) -> str:
    """Return a hash of the architecture, the recipe but for its loop, and the data."""
    named = {**asdict(recipe), "loop": None, "config": part.config, "data": data}
    text = json.dumps([named, part.vocabulary], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _start_from(network: nn.Module, folder: Path, name: str, stage: str) -> dict[str, Any]:
    """Fill a network with its part's trained weights and return what is known of their training."""
    manifest = finished(folder, name)
    verify(manifest, name)
    load_tensors(network, manifest.path(name))
    training = manifest.part(name).training
    # Called again when it is finished, the stage finds its own result there.
    before: dict[str, Any] = training["before"] if training.get("stage") == stage else training
    return before
