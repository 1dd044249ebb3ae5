"""The tiny stack with parts that its bundled weights lack, made in seconds by `train`."""

import shutil
import sys
from dataclasses import replace

from dalle2eval.scenes.training_data import SceneSource
from reference_model.manifest import BUNDLED
from reference_model.training import train
from reference_model.training.loop import LoopConfig
from reference_model.training.recipes import MEASUREMENTS, RECIPES

LOOP = LoopConfig(steps=4, batch_size=4, warmup_steps=1, checkpoint_every=2, log_every=2)
EMBEDDINGS = 64


def scene_source(*, stream, held_out, mix):
    return SceneSource(stream=stream, held_out=held_out, mix=mix)


def copy_tiny(folder):
    """Copy the bundled tiny weights to folder/tiny and return that."""
    return shutil.copytree(BUNDLED / "tiny", folder / "tiny")


def make_tiny_recipe(monkeypatch):
    """Let `train("tiny", ...)` train every stage of scenes for a moment."""
    stages = {
        name: replace(recipe, weights="tiny", loop=LOOP)
        for name, recipe in RECIPES["scenes"].items()
    }
    measured = {
        name: replace(measurement, weights="tiny", num_samples=6, batch_size=4)
        for name, measurement in MEASUREMENTS["scenes"].items()
    }
    monkeypatch.setitem(RECIPES, "tiny", stages)
    monkeypatch.setitem(MEASUREMENTS, "tiny", measured)
    monkeypatch.setattr(sys.modules["reference_model.training.train"], "PRIOR_EMBEDDINGS", EMBEDDINGS)


def train_tiny(folder, *stages):
    """Train stages of the tiny stack in a folder that `copy_tiny` filled."""
    for stage in stages:
        train("tiny", scene_source, stage=stage, work=folder / "work" / stage, out=folder)
