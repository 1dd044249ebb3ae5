"""Parts besides the main line: trained by `train`, kept in the manifest, reached by a setting."""

import json

import pytest
import torch
from cli_fixtures import call
from safetensors.torch import load_file
from stack_fixtures import copy_tiny, make_tiny_recipe, tiny_with, train_tiny

from reference_model import load
from reference_model.ar_prior import AutoregressivePrior
from reference_model.manifest import CheckpointError, read_manifest

FAST = {"prior_steps": 2, "prior_candidates": 1, "decoder_steps": 2, "guidance_scale": 1.0}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The tiny stack with every variant."""
    made = tiny_with(tmp_path_factory.mktemp("weights"), "prior-ar", "classifier")
    return made.rename(made.parent / "varied")


@pytest.fixture(scope="module")
def model(weights):
    return load(weights, device="cpu")


def stages(model, **changes):
    return model.plan_stages(model.resolve_settings({**FAST, **changes}))


def test_training_sets_the_number_of_codes_by_the_energy_that_its_clip_needs(weights, model):
    part = read_manifest(weights).part("prior-ar")
    assert part.kind == "prior-ar"
    assert part.training["images"] == 16
    prior = model.network("prior-ar")
    assert 1 <= prior.config.num_components == part.config["num_components"] <= 8
    gram = prior.components @ prior.components.T
    assert torch.allclose(gram, torch.eye(len(gram)), atol=1e-2)
    assert (prior.high > prior.low).all()


def test_a_killed_training_of_the_autoregressive_prior_goes_on_to_the_same_weights(
    weights, tmp_path, monkeypatch
):
    from reference_model.training.loop import Loop

    copy_tiny(tmp_path)
    make_tiny_recipe(monkeypatch)
    step, killed = Loop._train_step, []

    def once_killed(self):
        if self.step == 3 and not killed:
            killed.append(1)
            raise KeyboardInterrupt
        return step(self)

    monkeypatch.setattr(Loop, "_train_step", once_killed)
    with pytest.raises(KeyboardInterrupt):
        train_tiny(tmp_path, "prior-ar")
    train_tiny(tmp_path, "prior-ar")
    whole, resumed = (
        load_file(folder / "prior-ar.safetensors") for folder in (weights, tmp_path / "tiny")
    )
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_the_autoregressive_prior_makes_z_i_and_the_picture_knows_only_its_key(model):
    how = {**FAST, "prior": "ar", "prior_guidance_scale": 2.0}
    together = model.generate(["a red circle", "a blue star"], [5, 6], **how).astype(int)
    alone = model.generate(["a blue star"], [6], **how)
    assert abs(together[1] - alone[0]).max() <= 1
    diffusion = model.generate(["a blue star"], [6], **FAST)
    assert alone.tobytes() != diffusion.tobytes()


def test_its_stage_names_what_changes_z_i_and_nothing_of_diffusion(model):
    conditioning, decoder = stages(model, prior="ar", prior_candidates=2)
    assert conditioning.settings == {
        "conditioning": "prior",
        "prior": "ar",
        "prior_guidance_scale": 1.0,
        "prior_candidates": 2,
        "prior_best_share": 0.5,
    }
    assert model.manifest.part("prior-ar").identity in conditioning.weights
    assert decoder == stages(model)[1]
    idle = stages(model, prior="ar", prior_candidates=2, prior_steps=9, prior_sampler="ddpm")
    assert idle[0] == conditioning
    assert stages(model, prior_best_share=0.1) == stages(model)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_the_forecast_counts_a_call_for_each_code_of_each_candidate(model, monkeypatch, guidance):
    calls, forward = [], AutoregressivePrior.forward
    monkeypatch.setattr(
        AutoregressivePrior, "forward", lambda self, *a: calls.append(1) or forward(self, *a)
    )
    changes = {"prior": "ar", "prior_candidates": 2, "prior_guidance_scale": guidance}
    model.generate(["a red circle"], [0], **{**FAST, **changes})
    assert len(calls) + 1 == stages(model, **changes)[0].forward_passes


def test_more_candidates_never_fit_the_caption_less(model):
    prompts, keys = ["a red circle", "a blue star"], [("a", 0), ("b", 0)]
    made = []
    for candidates in (1, 4):
        stage = stages(model, prior="ar", prior_candidates=candidates)[0]
        made.append(model.run_stage(stage, prompts, keys, None))
    z_t = model.network("clip").encode_text(prompts).z_t.numpy()
    assert ((made[1] * z_t).sum(1) >= (made[0] * z_t).sum(1) - 1e-6).all()


def test_weights_without_the_part_are_refused_before_work():
    with pytest.raises(CheckpointError, match="'tiny' have no part 'prior-ar'; they have clip"):
        stages(load("tiny"), prior="ar")


def test_the_command_line_draws_with_it_and_refuses_it_in_one_line(weights, tmp_path, capsys):
    common = ("sample", "a red circle", "--out", tmp_path, "--size", 16, "--set", "prior=ar")
    drawn = call(capsys, *common, "--model", weights, "--device", "cpu", "--json")
    assert (drawn.code, len(json.loads(drawn.out)["files"])) == (0, 1)
    refused = call(capsys, *common, "--model", "tiny", "--device", "cpu")
    assert refused.code == 2
    assert "have no part 'prior-ar'" in refused.err
    assert len(refused.err.strip().splitlines()) == 1


SUITE = """\
question: Which prior?
model: {{name: {weights}, prior_steps: 2, decoder_steps: 2}}
prompts: {{set: scenes/quick, n: 8}}
samples_per_prompt: 1
sizes: {{all: 64}}
arms:
  diffusion: {{}}
  autoregressive: {{reference: diffusion, prior: ar}}
  braver: {{reference: autoregressive, prior_best_share: 0.1}}
metrics: [clip_score]
"""


def test_a_suite_can_hold_it_against_the_diffusion_prior(weights, tmp_path, capsys):
    suite = tmp_path / "priors.yaml"
    suite.write_text(SUITE.format(weights=weights))
    assert call(capsys, "plan", suite, "--store", tmp_path / "store", "--json").code == 0
    suite.write_text(SUITE.format(weights="tiny"))
    refused = call(capsys, "plan", suite, "--store", tmp_path / "store")
    assert refused.code == 2
    assert "prior-ar" in refused.err
