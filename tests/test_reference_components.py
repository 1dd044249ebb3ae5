"""What the decoder is told of z_i and of the caption: some principal components, or no words."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from stack_fixtures import (
    copy_tiny,
    make_tiny_recipe,
    tiny_with,
    train_tiny,
    with_a_part_trained_anew,
)

from reference_model import load
from reference_model.manifest import CheckpointError, read_manifest
from reference_model.training.variant_recipes import VARIANT_RECIPES

FAST = {"prior_steps": 4, "prior_candidates": 1, "decoder_steps": 4, "guidance_scale": 1.0}
PROMPTS = ["a red circle", "two blue stars"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_with(tmp_path_factory.mktemp("weights"), "clip-pca").parent


def stages(model, **changes):
    return model.plan_stages(model.resolve_settings({**FAST, **changes}))


def test_components_are_orthonormal_and_say_whose_they_are(folder):
    manifest = read_manifest(folder / "tiny")
    pca = load(folder / "tiny").network("clip-pca")
    assert pca.config.of == manifest.part("clip").identity
    identity = torch.eye(pca.config.z_dim)
    assert torch.allclose(pca.components @ pca.components.T, identity, atol=1e-5)
    assert (pca.variances.diff() <= 0).all()


def test_all_components_give_back_z_i_and_one_gives_less(folder):
    pca = load(folder / "tiny").network("clip-pca")
    z_i = torch.nn.functional.normalize(torch.randn(5, pca.config.z_dim), dim=-1)
    assert torch.allclose(pca.rebuilt(z_i, pca.config.z_dim), z_i, atol=1e-5)
    assert pca.rebuilt(z_i, 1).norm(dim=-1) == pytest.approx([1.0] * 5, abs=1e-5)
    assert (pca.rebuilt(z_i, 1) - z_i).abs().max() > 0.1


def test_the_prior_runs_once_for_every_number_of_components(folder):
    """The components are cut where the decoder reads z_i, so that z_i itself is shared."""
    model = load(folder / "tiny")
    usual, few = stages(model), stages(model, z_components=2)
    assert usual[0] == few[0]
    assert usual[1] != few[1]
    assert model.manifest.part("clip-pca").identity in few[1].weights
    assert usual == stages(load("tiny"))  # what lies in a store keeps its address


def test_fewer_components_draw_another_picture_and_all_draw_the_same(folder):
    model = load(folder / "tiny", device="cpu")
    z_dim = model.network("clip-pca").config.z_dim
    usual, every, one = (
        model.generate(PROMPTS, [0, 1], **FAST, z_components=k).astype(int) for k in (0, z_dim, 1)
    )
    assert abs(usual - every).max() <= 1
    assert abs(usual - one).max() > 1


def test_where_there_is_no_z_i_its_components_change_nothing(folder):
    model = load(folder / "tiny")
    how = {"conditioning": "caption"}
    assert stages(model, **how, z_components=2) == stages(model, **how)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"z_components": 2}, "have no part 'clip-pca'; train the stage"),
        ({"z_components": -1}, "allowed: a whole number from 0"),
        ({"decoder_caption": "nothing"}, "decoder_caption is 'nothing'"),
    ],
)
def test_what_cannot_be_is_refused_before_work(changes, says):
    with pytest.raises(ValueError, match=says):
        stages(load("tiny"), **changes)


def test_more_components_than_z_i_has_are_refused(folder):
    with pytest.raises(ValueError, match="at most that many"):
        stages(load(folder / "tiny"), z_components=4096)


def test_components_of_a_clip_that_was_trained_anew_are_refused(folder, tmp_path):
    """They would rebuild another space's embeddings, and nobody would know."""
    other = with_a_part_trained_anew(folder / "tiny", "clip", tmp_path)
    with pytest.raises(ValueError, match="have a clip-pca of another CLIP"):
        stages(load(other), z_components=2)


def test_too_few_pictures_are_no_measurement(tmp_path, monkeypatch):
    copy_tiny(tmp_path)
    make_tiny_recipe(monkeypatch)
    wanted = VARIANT_RECIPES["tiny"]["clip-pca"]
    monkeypatch.setitem(VARIANT_RECIPES["tiny"], "clip-pca", replace(wanted, num_samples=4))
    with pytest.raises(CheckpointError, match="4 pictures have 4 principal components"):
        train_tiny(tmp_path, "clip-pca")


def test_without_its_caption_the_decoder_draws_what_z_i_alone_tells():
    """The prior still reads the words; only the decoder does not."""
    model = load("tiny", device="cpu")
    usual, wordless = stages(model), stages(model, decoder_caption="empty")
    assert usual[0] == wordless[0]
    assert usual[1] != wordless[1]

    def drawn(stage, z_i):
        key = [("p", 3)]  # the same noise for both captions
        return [model.run_stage(stage, [prompt], key, z_i) for prompt in PROMPTS]

    z_i = model.run_stage(usual[0], PROMPTS[:1], [("p", 3)], None)
    assert np.array_equal(*drawn(wordless[1], z_i))
    assert not np.array_equal(*drawn(usual[1], z_i))
    assert not np.array_equal(drawn(wordless[1], z_i)[0], drawn(wordless[1], -z_i)[0])
