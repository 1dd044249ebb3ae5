"""Training: resumed equals uninterrupted, and data is a function of the step."""

import json
import shutil
import sys
from collections import Counter
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from dalle2eval.scenes.grammar import KINDS, is_held_out, parse
from dalle2eval.scenes.training_data import MIXES, SceneSource
from reference_model.config import (
    ClipConfig,
    DecoderConfig,
    UpsamplerConfig,
    from_json,
)
from reference_model.decoder import Decoder
from reference_model.diffusion.schedule import Schedule
from reference_model.manifest import BUNDLED, CheckpointError, read_manifest
from reference_model.presets import preset
from reference_model.training import state, train
from reference_model.training.contrastive import same_caption
from reference_model.training.loop import Loop, LoopConfig, learning_rate_at
from reference_model.training.optimizer import optimizers
from reference_model.training.recipes import RECIPES, StageRecipe
from reference_model.training.rows import whole_batch
from reference_model.training.stages import (
    COARSE_NOISE,
    Corruption,
    coarse_picture,
    corrupt_z,
    decoder_loss,
    generator,
    native_loss,
    noised,
    weighted_loss,
)
from reference_model.training.variant_recipes import VARIANT_RECIPES
from reference_model.unet import Unet

CONFIG = LoopConfig(steps=12, batch_size=4, warmup_steps=3, checkpoint_every=4, log_every=3)


def toy(folder, config=CONFIG, *, stop_at=None):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))

    def loss(rows):
        step = rows.step
        if stop_at is not None and step == stop_at:
            raise KeyboardInterrupt
        x = torch.randn(4, 3, generator=generator(step, 0))
        return ((module(x) - x.sum(1, keepdim=True)) ** 2).mean()

    return Loop(module, loss, config, folder)


@pytest.mark.parametrize("config", [CONFIG, replace(CONFIG, matrix_learning_rate=1e-2)])
def test_killed_and_resumed_equals_uninterrupted(tmp_path, config):
    whole = toy(tmp_path / "whole", config).run()
    with pytest.raises(KeyboardInterrupt):
        toy(tmp_path / "cut", config, stop_at=10).run()
    resumed = toy(tmp_path / "cut", config)
    assert resumed.step == 8
    result = resumed.run()
    assert all(torch.equal(whole[name], result[name]) for name in whole)


def test_muon_moves_convolutions_in_place_and_leaves_the_edges_to_adamw():
    """Its 2-D views must share memory with the weights, whatever their layout."""
    torch.manual_seed(0)
    unet = Unet(preset("tiny").decoder.unet).to(memory_format=torch.channels_last)
    nn.init.normal_(unet.middle[0].block.conv_2.weight)
    adamw, muon = optimizers(unet, replace(CONFIG, matrix_learning_rate=1e-2))
    held = [group["params"] for optimizer in (adamw, muon) for group in optimizer.param_groups]
    assert sum(len(parameters) for parameters in held) == len(list(unet.parameters()))
    assert any(parameter is unet.stem.weight for parameter in held[0])
    weight = unet.middle[0].block.conv_2.weight
    before = weight.detach().clone()
    weight.grad = torch.randn_like(weight)
    muon.step()
    update = (before - weight.detach()).movedim(1, -1).flatten(1)
    gradient = weight.grad.movedim(1, -1).flatten(1)
    # The update is the gradient's orthogonal factor: all singular values alike, same directions.
    values = torch.linalg.svdvals(update)
    assert values.min() > 0.5 * values.max()
    assert torch.nn.functional.cosine_similarity(update.ravel(), gradient.ravel(), dim=0) > 0.8


def test_a_kill_between_two_writes_cannot_mix_two_moments(tmp_path, monkeypatch):
    """Step and weights must lie in one file: a resume from step 4 with the weights of 8 is lost."""
    whole = toy(tmp_path / "whole").run()
    renamed, replace_file = [], state.replace_file

    def killed_at_the_second_rename(source, target):
        renamed.append(target)
        if len(renamed) == 2:
            raise KeyboardInterrupt
        replace_file(source, target)

    monkeypatch.setattr(state, "replace_file", killed_at_the_second_rename)
    with pytest.raises(KeyboardInterrupt):
        toy(tmp_path / "cut").run()
    monkeypatch.undo()
    assert (tmp_path / "cut" / "state.tmp").exists()
    resumed = toy(tmp_path / "cut")
    assert resumed.step == 4
    result = resumed.run()
    assert all(torch.equal(whole[name], result[name]) for name in whole)


def test_a_changed_recipe_does_not_go_on_silently(tmp_path):
    toy(tmp_path).run()
    with pytest.raises(ValueError, match=r"other settings \(learning_rate, steps\)"):
        toy(tmp_path, replace(CONFIG, steps=20, learning_rate=1.0))


def test_the_log_is_json_lines_with_images_seen(tmp_path):
    toy(tmp_path).run()
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["images"] for line in lines] == [12, 24, 36, 48]
    assert all(line["loss"] >= 0 for line in lines)


def test_the_learning_rate_warms_up_and_decays_to_zero():
    rates = [learning_rate_at(step, CONFIG) for step in range(CONFIG.steps + 1)]
    assert rates[0] < rates[1] < rates[2] == pytest.approx(CONFIG.learning_rate)
    assert rates[-1] == pytest.approx(0, abs=1e-12)


def test_the_average_follows_the_weights(tmp_path):
    loop = toy(tmp_path, replace(CONFIG, ema_decay=0.0))
    averaged = loop.run()
    assert all(torch.allclose(averaged[k], v) for k, v in loop.module.state_dict().items())


def test_equal_captions_are_not_repelled():
    assert same_caption(["a", "b", "a"]).tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 1]]


def test_training_scenes_are_never_held_out_and_judges_see_them_all():
    texts = SceneSource(stream=1).batch(0, 300, 8).captions
    texts += SceneSource(stream=1).contrastive_batch(0, 300, 8).captions
    assert not any(is_held_out(parse(text)) for text in texts)
    judged = SceneSource(stream=1, held_out=True).batch(0, 300, 8).captions
    assert any(is_held_out(parse(text)) for text in judged)


def test_sample_k_does_not_depend_on_the_batch_it_came_in():
    source = SceneSource(stream=3)
    whole, part = source.batch(0, 8, 16), source.batch(5, 2, 16)
    assert whole.captions[5:7] == part.captions
    assert (whole.images[5:7] == part.images).all()


def test_a_mix_is_drawn_in_its_shares():
    captions = SceneSource(stream=1, mix="composition").batch(0, 2000, 8).captions
    kinds = Counter(parse(text).kind for text in captions)
    shares = dict(zip(KINDS, MIXES["composition"], strict=True))
    assert sum(shares.values()) == pytest.approx(1)
    assert {k: kinds[k] / 2000 for k in KINDS} == pytest.approx(shares, abs=0.04)


def test_streams_do_not_share_samples():
    first, second = (SceneSource(stream=s).batch(0, 50, 16) for s in (1, 2))
    assert not (first.images == second.images).all(axis=(1, 2, 3)).any()


def test_every_noise_level_is_in_every_batch():
    _, t, _, _ = noised(torch.zeros(10, 1), Schedule("cosine"), generator(0, 0))
    assert sorted((t // 100).tolist()) == list(range(10))


@pytest.mark.parametrize("target", ["x0", "eps", "v"])
def test_a_perfect_output_has_no_loss(target):
    x0 = torch.randn(6, 3)
    x_t, _, eps, alpha_bar = noised(x0, Schedule("cosine"), generator(1, 0))
    output = {
        "x0": x0,
        "eps": eps,
        "v": alpha_bar.sqrt() * eps - (1 - alpha_bar).sqrt() * x0,
    }[target]
    assert weighted_loss(target, output, x0, x_t, alpha_bar) < 1e-3
    assert native_loss(target, output, x0, eps, alpha_bar) < 1e-12


def scene_source(*, stream, held_out, mix):
    return SceneSource(stream=stream, held_out=held_out, mix=mix)


def test_noise_on_z_i_keeps_its_length_and_stays_within_its_level():
    z = functional.normalize(torch.randn(2000, 128), dim=-1)
    noisy = corrupt_z(z, 0.5, generator(0, 5))
    cosine = (z * noisy).sum(dim=-1)
    assert torch.allclose(noisy.norm(dim=-1), torch.ones(2000), atol=1e-5)
    # The noise is nearly as long as its deviation says, and at a right angle to z_i.
    assert cosine.min() == pytest.approx((1 + 0.5**2) ** -0.5, abs=0.06)
    assert cosine.max() > 0.999


def test_a_coarse_picture_tells_where_a_colour_is_and_not_its_shape():
    x0 = -torch.ones(200, 3, 64, 64)
    x0[::2, :, 8:12, 8:12] = 1.0  # the same colour in the same cell, in another corner of it
    x0[1::2, :, 12:16, 12:16] = 1.0
    coarse = coarse_picture(x0, generator(0, 6))
    cells = coarse[:, :, 8:16, 8:16]
    assert torch.equal(cells, cells[:, :, :1, :1].expand_as(cells))
    error = 0.5 * COARSE_NOISE * (3 / 100) ** 0.5  # of each of the means below
    means = coarse[::2, 0, 8, 8].mean(), coarse[1::2, 0, 8, 8].mean()
    assert abs(means[0] - means[1]) < 3 * error
    assert means[0] == pytest.approx(0.5 * -0.5, abs=3 * error)
    assert coarse[:, 0, 40, 40].mean() == pytest.approx(-0.5, abs=3 * error)


def test_coarse_pictures_are_refused_where_noise_is_predicted():
    """They have none: x0_hat from a predicted eps would be of nothing."""
    config = replace(preset("tiny").decoder, target="eps")
    denied = Corruption(z_dropout=0.5, text_dropout=0.1, coarse=0.5)
    with pytest.raises(ValueError, match="predicts x0, not eps"):
        decoder_loss(Decoder(config, ()), None, None, rows=whole_batch(2), corruption=denied)


def test_each_step_of_a_decoder_belongs_to_one_phase():
    early, late, config = (Corruption(z_dropout=p, text_dropout=0.1) for p in (0.1, 0.2, 0.3))
    recipe = replace(RECIPES["scenes"]["decoder"], phases=((3, early), (5, late)))
    found = [recipe.corruption(step, config) for step in range(7)]
    assert found == [early] * 3 + [late] * 2 + [config] * 2


def test_a_stage_that_goes_on_starts_from_the_trained_weights(tmp_path, monkeypatch):
    """From a random start it would throw an hour of training away."""
    shutil.copytree(BUNDLED / "tiny", tmp_path / "tiny")
    stage = StageRecipe(
        part="decoder",
        name="more",
        goes_on=True,
        weights="tiny",
        stream=1,
        seed=9,
        loop=LoopConfig(steps=0, batch_size=2),
    )
    monkeypatch.setitem(RECIPES, "tiny", {stage.stage: stage})
    train("tiny", scene_source, stage="more", work=tmp_path / "work", out=tmp_path)
    before, after = (load_file(f / "tiny" / "decoder.safetensors") for f in (BUNDLED, tmp_path))
    assert all(torch.equal(before[name], after[name]) for name in before)
    training = read_manifest(tmp_path / "tiny").parts["decoder"].training
    assert training["before"] == read_manifest(BUNDLED / "tiny").parts["decoder"].training
    train("tiny", scene_source, stage="more", work=tmp_path / "work", out=tmp_path)
    again = read_manifest(tmp_path / "tiny").parts["decoder"].training
    assert again["before"] == training["before"]


def test_a_stage_that_goes_on_needs_the_trained_part(tmp_path, monkeypatch):
    shutil.copytree(BUNDLED / "tiny", tmp_path / "scenes")
    manifest = json.loads((tmp_path / "scenes" / "manifest.json").read_text())
    del manifest["parts"]["decoder"]
    (tmp_path / "scenes" / "manifest.json").write_text(json.dumps(manifest))
    stage = replace(RECIPES["scenes"]["decoder"], name="more", goes_on=True)
    monkeypatch.setitem(RECIPES, "scenes", {"more": stage})
    with pytest.raises(CheckpointError, match="train the stage decoder first"):
        train("scenes", scene_source, stage="more", work=tmp_path, out=tmp_path, preset="tiny")


@pytest.mark.parametrize(("recipe", "stage"), [("scene", None), ("scenes", "priors")])
def test_an_unknown_recipe_or_stage_is_named(tmp_path, recipe, stage):
    with pytest.raises(ValueError, match="did you mean"):
        train(recipe, scene_source, stage=stage, work=tmp_path, out=tmp_path)


def test_a_repeat_begins_from_other_initial_weights_in_every_stage(tmp_path, monkeypatch):
    begun = []
    module = sys.modules["reference_model.training.train"]
    monkeypatch.setattr(module, "_train_part", lambda _stack, recipe, *_: begun.append(recipe.seed))
    for seed in (0, 1, 2):
        train("scenes", scene_source, stage=None, work=tmp_path, out=tmp_path, seed=seed)
    stages = RECIPES["scenes"].values()
    assert begun[: len(stages)] == [recipe.seed for recipe in stages]
    repeats = [set(begun[k * len(stages) : (k + 1) * len(stages)]) for k in range(3)]
    assert len(set.union(*repeats)) == sum(len(seeds) for seeds in repeats)


def test_a_stage_that_needs_clip_says_so(tmp_path):
    with pytest.raises(CheckpointError, match="train the stage clip first"):
        train("scenes", scene_source, stage="prior", work=tmp_path, out=tmp_path)


def test_the_bundled_weights_are_what_the_recipe_makes():
    """Same parts, same architectures: code and weights have not drifted apart."""
    stack, parts = preset("scenes"), read_manifest(BUNDLED / "scenes").parts
    made = {r.saved_as or r.part for r in RECIPES["scenes"].values() if r.weights == "scenes"}
    assert made <= set(parts) <= made | set(VARIANT_RECIPES["scenes"])
    assert from_json(DecoderConfig, parts["decoder"].config) == stack.decoder
    assert from_json(ClipConfig, parts["clip"].config) == stack.clip
    assert from_json(UpsamplerConfig, parts["upsampler-256"].config) == stack.upsampler_256
    assert from_json(UpsamplerConfig, parts["upsampler-1024"].config) == stack.upsampler_1024


def test_the_bundled_weights_fit_the_budget():
    trained = [*BUNDLED.glob("scenes*/*.safetensors")]  # tiny: test_reference_weights_size.py
    total = sum(path.stat().st_size for path in trained)
    assert total <= 24_000_000
