"""What a setting of sampling does: it reaches the picture, its stage and the count of its calls."""

import pytest

from reference_model import load
from reference_model.dalle2 import DALLE2
from reference_model.settings import FITTED, SETTINGS

FAST = {"prior_steps": 2, "prior_candidates": 1, "decoder_steps": 3}


@pytest.fixture(scope="module")
def tiny():
    return load("tiny", device="cpu")


def stages(model: DALLE2, **changes):
    return model.plan_stages(model.resolve_settings(changes))


def test_what_lies_in_a_store_keeps_its_address():
    """The settings of a stage are its address; a new one must not appear at its default."""
    even = {"guidance_scale": 3.0, "guidance_interval": "0-999", "decoder_shift": 1.0}
    conditioning, decoder = stages(load("scenes"), **even)
    assert conditioning.settings == {
        "conditioning": "prior",
        "prior": "x0",
        "prior_steps": 25,
        "prior_guidance_scale": 1.0,
        "prior_candidates": 2,
    }
    assert decoder.settings == {
        "guidance_scale": 3.0,
        "decoder_steps": 20,
        "decoder_eta": 0.0,
        "null_z": False,
    }
    assert (conditioning.version, decoder.version) == (3, 3)
    assert (conditioning.forward_passes, decoder.forward_passes) == (51, 20)
    assert "+" not in decoder.weights


def test_bundled_weights_draw_as_they_draw_best_and_their_stage_says_so():
    _, decoder = stages(load("scenes"))
    assert decoder.settings.items() >= FITTED["scenes"].items()


# Each later setting away from its default, with what it needs to have an effect.
LATER = {
    "prior_sampler": {"prior_sampler": "dpm-solver++2m"},
    "decoder_sampler": {"decoder_sampler": "heun"},
    "decoder_shift": {"decoder_shift": 3.0},
    "guidance_interval": {"guidance_interval": "200-800"},
    "guidance_rescale": {"guidance_rescale": 0.7},
    "clip_guidance_scale": {"clip_guidance_scale": 40.0},
    "decoder_candidates": {"decoder_candidates": 6},
    "threshold": {"threshold": "none"},
    "threshold_quantile": {"threshold": "dynamic", "threshold_quantile": 0.9},
}


@pytest.mark.parametrize("name", LATER)
def test_a_setting_said_at_its_default_is_the_stage_without_it(tiny, name):
    assert stages(tiny, **{name: SETTINGS[name].default}) == stages(tiny)
    changed = stages(tiny, **LATER[name])
    assert changed != stages(tiny)
    assert [stage.settings[name] for stage in changed if name in stage.settings] == [
        LATER[name][name]
    ]


@pytest.mark.parametrize(
    "idle",
    [
        {"guidance_scale": 1.0, "guidance_interval": "200-800"},
        {"guidance_scale": 1.0, "guidance_rescale": 0.7},
        {"threshold_quantile": 0.9},
        {"conditioning": "caption", "prior_sampler": "ddpm"},
    ],
)
def test_a_setting_without_effect_makes_no_other_stage(tiny, idle):
    last = list(idle)[-1]
    rest = {name: value for name, value in idle.items() if name != last}
    assert stages(tiny, **idle) == stages(tiny, **rest)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decoder_eta": 0.5, "decoder_sampler": "heun"}, "it is of ddim, so with heun set it 0"),
        ({"decoder_sampler": "ddpm-learned"}, "has learned no variance; take ddpm"),
        ({"decoder_sampler": "heun", "decoder_steps": 501}, "at most 500 are allowed"),
        ({"prior_sampler": "heun", "prior_steps": 501}, "prior_steps is 501; with heun at most"),
        ({"decoder_sampler": "dpm-solver"}, r'did you mean "dpm-solver\+\+2m"'),
        ({"guidance_interval": "800-200"}, "LOW-HIGH within 0-999"),
        ({"guidance_interval": "0-1000"}, "LOW-HIGH within 0-999"),
        ({"guidance_interval": 200}, "LOW-HIGH within 0-999"),
        ({"threshold": "dynamic", "threshold_quantile": 0.1}, "from 0.5 to 1"),
    ],
)
def test_what_cannot_be_drawn_is_refused_when_it_is_planned(tiny, changes, message):
    with pytest.raises(ValueError, match=message):
        stages(tiny, **changes)


def test_every_sampler_has_a_name_and_every_name_a_sampler():
    from reference_model.diffusion.samplers import ANALYTIC_DPM, SAMPLERS

    names = {*SAMPLERS, ANALYTIC_DPM}
    assert set(SETTINGS["decoder_sampler"].allowed) == names
    assert set(SETTINGS["prior_sampler"].allowed) == names - {"ddpm-learned"}


def counted(monkeypatch, owner, name):
    calls, method = [], getattr(owner, name)

    def wrapped(self, *args, **kwargs):
        calls.append(1)
        return method(self, *args, **kwargs)

    monkeypatch.setattr(owner, name, wrapped)
    return calls


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpm-solver++2m", "heun"])
def test_the_forecast_counts_the_calls_that_a_sampler_makes(tiny, monkeypatch, sampler):
    from reference_model.clip import Clip
    from reference_model.decoder import Decoder
    from reference_model.prior import DiffusionPrior

    decoder = counted(monkeypatch, Decoder, "from_projected")
    prior = counted(monkeypatch, DiffusionPrior, "continued")
    seen, read = (counted(monkeypatch, Clip, name) for name in ("encode_images", "encode_text"))
    changes = {
        "decoder_sampler": sampler,
        "prior_sampler": sampler,
        "prior_steps": 4,
        "prior_candidates": 2,
        "decoder_steps": 5,
        "clip_guidance_scale": 1.0,
    }
    conditioning, drawn = stages(tiny, **changes)
    tiny.generate(["a red circle"], [0], **changes)
    assert len(prior) + 1 == conditioning.forward_passes
    assert len(decoder) + len(seen) + 1 == drawn.forward_passes
    assert len(read) == 2  # once for the prior, once to steer the decoder


@pytest.mark.parametrize("name", LATER)
def test_a_setting_reaches_the_picture(tiny, name):
    strong = {"guidance_scale": 50.0, **FAST}  # so that estimates leave the range of pictures
    if name == "prior_sampler":
        strong = {**strong, "prior_steps": 4}
    if name == "threshold_quantile":
        strong = {**strong, "threshold": "dynamic"}
    usual = tiny.generate(["a red circle"], [0], **strong)
    made = tiny.generate(["a red circle"], [0], **{**strong, **LATER[name]})
    assert made.tobytes() != usual.tobytes()


def test_the_first_setting_of_all_is_ddim_and_a_static_threshold(tiny):
    usual = tiny.generate(["a red circle"], [0], **FAST)
    said = {"decoder_sampler": "ddim", "prior_sampler": "ddim", "threshold": "static"}
    said |= {"guidance_interval": "0-999", "guidance_rescale": 0, "clip_guidance_scale": 0}
    assert tiny.generate(["a red circle"], [0], **said, **FAST).tobytes() == usual.tobytes()


def test_stochastic_samplers_draw_the_same_picture_in_another_batch(tiny):
    how = {"decoder_sampler": "ddpm", "prior_sampler": "ddpm", **FAST}
    together = tiny.generate(["a red circle", "a blue star"], [5, 6], **how).astype(int)
    alone = tiny.generate(["a blue star"], [6], **how)
    assert abs(together[1] - alone[0]).max() <= 1
