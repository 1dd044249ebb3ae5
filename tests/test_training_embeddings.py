"""Kept embeddings: a prior's second training needs no pixels and comes out bit for bit the same."""

import shutil

import pytest
import torch
from safetensors.torch import load_file

from dalle2eval.scenes.training_data import SceneSource
from dalle2eval.store import Store
from reference_model.manifest import BUNDLED
from reference_model.training import train
from reference_model.training.embeddings import Cache

CHANGES = {"loop.steps": 2, "loop.batch_size": 4, "embeddings": 300}


class Blind(SceneSource):
    """Has no pictures."""

    def batch(self, *_arguments, **_options):
        raise AssertionError("pixels were asked for")


def trained(folder, stage, cache=None, data=SceneSource):
    shutil.copytree(BUNDLED / "tiny", folder / "scenes")
    train("scenes", data, stage=stage, work=folder / "work", out=folder, preset="tiny",
          changes=CHANGES, cache=cache)  # fmt: skip
    return load_file(folder / "scenes" / f"{stage}.safetensors")


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.mark.parametrize("stage", ["prior", "prior-ar"])
def test_the_second_training_needs_no_pixels_and_gives_the_same_weights(tmp_path, stage):
    cache = Cache(Store(tmp_path / "store"), "scenes, version 1")
    without = trained(tmp_path / "without", stage)
    assert same(trained(tmp_path / "first", stage, cache), without)
    assert same(trained(tmp_path / "second", stage, cache, Blind), without)


def test_all_priors_share_what_is_kept(tmp_path):
    cache = Cache(Store(tmp_path / "store"), "scenes, version 1")
    trained(tmp_path / "first", "prior", cache)
    for stage in ("prior-eps", "prior-ar"):
        trained(tmp_path / stage, stage, cache, Blind)


def test_other_pictures_or_damaged_files_are_embedded_again(tmp_path):
    place = tmp_path / "store"
    without = trained(tmp_path / "first", "prior", Cache(Store(place), "scenes, version 1"))
    with pytest.raises(AssertionError, match="pixels were asked for"):
        trained(tmp_path / "other", "prior", Cache(Store(place), "scenes, version 2"), Blind)
    for file in place.rglob("*.npy"):
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
    again = trained(tmp_path / "again", "prior", Cache(Store(place), "scenes, version 1"))
    assert same(again, without)
