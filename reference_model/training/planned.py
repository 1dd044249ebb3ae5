"""What a training will make, known before it begins: for plans, and to tell trainings apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from reference_model.config import StackConfig
from reference_model.manifest import Part
from reference_model.presets import preset as named_preset
from reference_model.training.changes import apply_changes
from reference_model.training.recipes import StageRecipe
from reference_model.training.train import SEEDS_APART, choose
from reference_model.training.variant_recipes import Measurement
from reference_model.variants import variants

TRAINING_VERSION = 1  # raised whenever equal settings, seed and data would give other weights

# The stages that an ablation can train for its arms: what they make, and where its shape stands.
# A CLIP is none of them, for all other parts were trained with their own.
TRAINABLE = {
    "prior": ("prior", "prior"),
    "prior-ar": ("prior-ar", "prior_ar"),
    "decoder": ("decoder", "decoder"),
    "decoder-imagen": ("imagen", "decoder_imagen"),
    "upsampler-256": ("upsampler", "upsampler_256"),
    "upsampler-1024": ("upsampler", "upsampler_1024"),
}


class PlannedPart(NamedTuple):
    """A part before it is trained.

    Attributes:
        part: as the manifest will describe it, without a file.
        made_of: all that decides its weights, besides the data and the parts that it builds on.
        images: that the training sees.
    """

    part: Part
    made_of: dict[str, Any]
    images: int


def planned_part(
    preset: str, recipe: str, stage: str, *, steps: int, seed: int, changes: Mapping[str, Any]
) -> PlannedPart:
    """Return what `arms.train_stage` would make of the same arguments.

    Raises:
        ValueError: a name is unknown (near matches are named) or a value is not allowed.
    """
    chosen = choose(recipe, stage)[0]
    if isinstance(chosen, Measurement) or stage not in TRAINABLE:
        raise ValueError(f"the stage {stage!r} is not for arms; allowed: {', '.join(TRAINABLE)}")
    stack, one = apply_changes(named_preset(preset), chosen, {**changes, "loop.steps": steps})
    kind, field = TRAINABLE[stage]
    config = _config(stack, field)
    made_of = {
        "version": TRAINING_VERSION,
        "recipe": {**asdict(one), "seed": one.seed + SEEDS_APART * seed},
        "config": config,
        **({"energy": variants(preset).prior_energy} if kind == "prior-ar" else {}),
    }
    part = Part(kind=kind, file="", sha256="", config=config)
    return PlannedPart(part, made_of, steps * one.loop.batch_size)


def trained_value(
    preset: str, recipe: str, stage: str, changes: Mapping[str, Any], path: str
) -> Any:
    """Return what a field is in a training with these changes, such as ``prior.target``."""
    chosen = choose(recipe, stage)[0]
    assert isinstance(chosen, StageRecipe)
    stack, one = apply_changes(named_preset(preset), chosen, changes)
    value: Any = stack if hasattr(stack, path.partition(".")[0]) else one
    for name in path.split("."):
        value = value[name] if isinstance(value, dict) else getattr(value, name)
    return list(value) if isinstance(value, tuple) else value


def _config(stack: StackConfig, field: str) -> dict[str, Any]:
    if hasattr(stack, field):
        return asdict(getattr(stack, field))
    shape = getattr(variants(stack.name), field)
    if shape is None:
        raise ValueError(f"preset {stack.name!r} has no {field.replace('_', '-')}")
    return asdict(shape)
