"""The tiny stack with parts that its bundled weights lack, made in seconds by `train`."""

import json
import shutil
from dataclasses import replace

import pytest

from dalle2eval.scenes.training_data import SceneSource
from reference_model.manifest import BUNDLED
from reference_model.training import train
from reference_model.training.loop import LoopConfig
from reference_model.training.recipes import RECIPES, StageRecipe
from reference_model.training.variant_recipes import VARIANT_RECIPES

LOOP = LoopConfig(steps=4, batch_size=4, warmup_steps=1, checkpoint_every=2, log_every=2)
EMBEDDINGS = 64


def scene_source(*, stream, held_out, mix):
    return SceneSource(stream=stream, held_out=held_out, mix=mix)


def copy_tiny(folder):
    """Copy the bundled tiny weights to folder/tiny and return that."""
    return shutil.copytree(BUNDLED / "tiny", folder / "tiny")


def tiny_with(folder, *stages):
    """Copy the tiny weights to folder/tiny, train stages of them for a moment and return that."""
    copy_tiny(folder)
    with pytest.MonkeyPatch.context() as monkeypatch:
        make_tiny_recipe(monkeypatch)
        train_tiny(folder, *stages)
    return folder / "tiny"


def with_a_part_trained_anew(weights, part, folder):
    """Return weights like others, whose part is another network than its measurement was of."""
    path = copy_tiny(folder) / "manifest.json"
    manifest = json.loads((weights / "manifest.json").read_text())
    manifest["parts"][part]["sha256"] = "0" * 64
    path.write_text(json.dumps(manifest))
    return path.parent


def make_tiny_recipe(monkeypatch):
    """Let `train("tiny", ...)` train every stage of scenes for a moment."""
    for table in (RECIPES, VARIANT_RECIPES):
        shortened = {name: _shortened(recipe) for name, recipe in table["scenes"].items()}
        monkeypatch.setitem(table, "tiny", shortened)


def _shortened(recipe):
    if isinstance(recipe, StageRecipe):
        return replace(recipe, weights="tiny", loop=LOOP, embeddings=EMBEDDINGS)
    # One part in two batches; a thousand timesteps of each cost a second.
    samples = {"prior": 6, "clip": 40}.get(recipe.part, 4)
    return replace(recipe, weights="tiny", num_samples=samples, batch_size=4)


def train_tiny(folder, *stages, **choices):
    """Train stages of the tiny stack in a folder that `copy_tiny` filled."""
    for stage in stages:
        train("tiny", scene_source, stage=stage, work=folder / "work" / stage, out=folder,
              **choices)  # fmt: skip
