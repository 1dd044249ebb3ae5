"""Analytic-DPM as a choice: what it has to know is measured once, and is part of the address."""

import pytest
from stack_fixtures import (
    copy_tiny,
    make_tiny_recipe,
    tiny_with,
    train_tiny,
    with_a_part_trained_anew,
)

from reference_model import load
from reference_model.diffusion.samplers import analytic
from reference_model.manifest import CheckpointError, read_manifest

FAST = {"prior_steps": 4, "prior_candidates": 1, "decoder_steps": 4, "guidance_scale": 1.0}
MEASURED = ("prior-noise-power", "prior-eps-noise-power", "decoder-noise-power")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_with(tmp_path_factory.mktemp("weights"), *MEASURED).parent


def stages(model, **changes):
    return model.plan_stages(model.resolve_settings({**FAST, **changes}))


def test_a_measurement_names_what_it_is_of_and_covers_every_timestep(folder):
    manifest = read_manifest(folder / "tiny")
    for name in MEASURED:
        part = manifest.part(name)
        measured_of = name.removesuffix("-noise-power")
        assert part.config["of"] == manifest.part(measured_of).identity
        power = load(folder / "tiny").network(name).table()
        assert len(power) == part.config["num_timesteps"] == 1000
        assert all(0 <= value < float("inf") for value in power.values())
        # At pure noise eps_hat is x_t itself, whatever the picture.
        assert power[999] == pytest.approx(1, abs=0.6)


def test_measured_twice_is_the_same_measurement(folder, tmp_path, monkeypatch):
    copy_tiny(tmp_path)
    make_tiny_recipe(monkeypatch)
    train_tiny(tmp_path, "prior-noise-power")
    first, again = (
        read_manifest(at / "tiny").part("prior-noise-power").identity for at in (folder, tmp_path)
    )
    assert first == again


@pytest.mark.parametrize("prior", ["x0", "eps"])
def test_the_prior_is_sampled_with_its_own_measurement(folder, prior, monkeypatch):
    model = load(folder / "tiny", device="cpu")
    asked = []
    monkeypatch.setattr(
        "reference_model.guiding.analytic",
        lambda table: asked.append(table) or analytic(table),
    )
    made = model.generate(["a red circle"], [0], prior=prior, prior_sampler="analytic-dpm", **FAST)
    part = {"x0": "prior", "eps": "prior-eps"}[prior]
    assert asked == [model.network(f"{part}-noise-power").table()]
    ancestral = model.generate(["a red circle"], [0], prior=prior, prior_sampler="ddpm", **FAST)
    assert made.tobytes() != ancestral.tobytes()


def test_the_decoder_draws_the_same_picture_in_another_batch(folder):
    model = load(folder / "tiny", device="cpu")
    how = {"decoder_sampler": "analytic-dpm", **FAST}
    together = model.generate(["a red circle", "a blue star"], [5, 6], **how).astype(int)
    alone = model.generate(["a blue star"], [6], **how)
    assert abs(together[1] - alone[0]).max() <= 1


@pytest.mark.parametrize(("prefix", "place"), [("prior", 0), ("decoder", 1)])
def test_the_address_holds_the_measurement_and_only_where_it_is_used(folder, prefix, place):
    model = load(folder / "tiny")
    measured = model.manifest.part(f"{prefix}-noise-power").identity
    usual = stages(model)
    chosen = stages(model, **{f"{prefix}_sampler": "analytic-dpm"})
    assert measured in chosen[place].weights
    assert measured not in usual[place].weights
    assert usual == stages(load("tiny"))
    assert chosen[1 - place] == usual[1 - place]


@pytest.mark.parametrize("prefix", ["prior", "decoder"])
def test_without_a_measurement_it_is_refused_before_work(prefix):
    with pytest.raises(ValueError, match=f"no part '{prefix}-noise-power'; train the stage"):
        stages(load("tiny"), **{f"{prefix}_sampler": "analytic-dpm"})


def test_a_measurement_of_weights_that_were_trained_anew_is_refused(folder, tmp_path):
    """The old decoder's noise power would sample the new decoder, and nobody would know."""
    other = with_a_part_trained_anew(folder / "tiny", "decoder", tmp_path)
    with pytest.raises(ValueError, match="have a decoder-noise-power of another decoder"):
        stages(load(other), decoder_sampler="analytic-dpm")


def test_only_what_is_trained_can_be_measured(tmp_path, monkeypatch):
    make_tiny_recipe(monkeypatch)
    with pytest.raises(CheckpointError, match="train the stage prior first"):
        train_tiny(tmp_path, "prior-noise-power")
