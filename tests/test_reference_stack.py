"""The stack of random weights (`tiny`): what can be silently wrong in generation."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from reference_model import CheckpointError, load, load_clip, load_network, read_manifest
from reference_model.config import StackConfig, from_json, to_json
from reference_model.dalle2 import UPSAMPLERS
from reference_model.decoder import Decoder
from reference_model.manifest import BUNDLED
from reference_model.presets import preset, scenes
from reference_model.prior import DiffusionPrior
from reference_model.tokenizer import PAD, CompactTokenizer, vocabulary_of
from reference_model.upsamplers import corrupt

FAST = {"decoder_steps": 3, "prior_steps": 3, "upsampler_256_steps": 2, "upsampler_1024_steps": 2}


@pytest.fixture(scope="module")
def tiny():
    return load("tiny", device="cpu")


@pytest.mark.parametrize("size", [16, 32, 64])
def test_every_stage_makes_pictures_of_its_size(tiny, size):
    images = tiny.generate(["a red circle"], [0], size=size, **FAST)
    assert images.shape == (1, size, size, 3)
    assert images.dtype == np.uint8


def test_the_same_seed_gives_the_same_image_in_another_batch(tiny):
    prompts = ["a red circle", "two blue stars", 'the word "CAT" in red']
    together = tiny.generate(prompts, [5, 6, 7], **FAST)
    alone = tiny.generate(prompts[1:2], [6], **FAST)
    assert np.abs(together[1].astype(int) - alone[0]).max() <= 1


def test_another_seed_or_prompt_gives_another_image(tiny):
    images = tiny.generate(["a red circle", "a red circle", "a blue star"], [0, 1, 0], **FAST)
    assert not np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


def test_generation_ignores_and_keeps_the_global_seed(tiny):
    torch.manual_seed(1)
    first = tiny.generate(["a red circle"], [0], **FAST)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    assert np.array_equal(first, tiny.generate(["a red circle"], [0], **FAST))
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)


def test_conditioning_switches_change_the_picture(tiny):
    made = [
        tiny.generate(["a red circle"], [0], conditioning=kind, **FAST).tobytes()
        for kind in ("prior", "text-embedding", "caption")
    ]
    assert len(set(made)) == 3


def test_a_null_z_i_is_not_a_zero_z_i(tiny):
    decoder = tiny.network("decoder")
    tokens = decoder.tokenizer(["a red circle"])
    zero = torch.zeros(1, decoder.config.z_dim)
    with torch.no_grad():
        decoder.null_z.fill_(0.5)
        given, _ = decoder.condition(zero, torch.tensor([True]), tokens)
        null, _ = decoder.condition(zero, torch.tensor([False]), tokens)
        decoder.null_z.fill_(0.0)
    assert not torch.equal(given, null)


@pytest.mark.parametrize("pooled", [False, True])
def test_pooled_text_reaches_the_timestep_only_where_asked(pooled):
    decoder = Decoder(replace(preset("tiny").decoder, pooled_text=pooled), ())
    z, known = torch.zeros(1, decoder.config.z_dim), torch.tensor([True])
    vectors = [
        decoder.condition(z, known, decoder.tokenizer([text]))[0] for text in ("a ring", "stars")
    ]
    assert torch.equal(*vectors) is not pooled


def test_two_candidates_are_never_worse_than_one_by_z_i_z_t(tiny):
    clip, prior = tiny.network("clip"), tiny.network("prior")
    with torch.inference_mode():
        text = tuple(clip.encode_text(["a red circle", "two blue stars", "a green ring"]))
        keys = [("a", 0), ("b", 0), ("c", 0)]
        dots = [
            (prior.sample(text, keys, steps=2, candidates=k) * text[0]).sum(-1) for k in (1, 2, 4)
        ]
    assert (dots[1] >= dots[0]).all()
    assert (dots[2] >= dots[1]).all()


def test_the_prior_never_writes_into_the_callers_embedding(tiny):
    """Defect D1 of DALLE2-pytorch: the embedding is scaled in place, more at every call."""
    prior = tiny.network("prior")
    z_i = torch.nn.functional.normalize(torch.randn(2, prior.config.z_dim), dim=-1)
    before = z_i.clone()
    round_trip = prior.unscale(prior.scale(z_i))
    assert torch.equal(z_i, before)
    assert torch.allclose(round_trip, z_i, atol=1e-5)


@pytest.mark.parametrize("scale", ["per-dimension", "sqrt-d", "paper-17.2"])
def test_no_embedding_scale_is_clamped_away(scale):
    config = from_json(
        type(preset("tiny").prior), {**to_json(preset("tiny").prior), "embedding_scale": scale}
    )
    prior = DiffusionPrior(config)
    z_i = torch.nn.functional.normalize(torch.randn(500, config.z_dim), dim=-1)
    assert torch.allclose(prior.in_unit_ball(prior.scale(z_i)), prior.scale(z_i), atol=1e-5)


def test_an_estimate_far_outside_is_brought_back_to_unit_length(tiny):
    """The first step of an eps network divides its error by almost nothing."""
    prior = tiny.network("prior")
    bounded = prior.in_unit_ball(1e4 * torch.randn(5, prior.config.z_dim))
    mean, factor = prior._affine()
    assert torch.allclose((bounded / factor + mean).norm(dim=-1), torch.ones(5), atol=1e-4)


def test_a_narrow_eps_prior_can_pass_its_noise_through():
    """Without the gate, a transformer narrower than its noise cannot output it."""
    config = replace(preset("tiny").prior, target="eps", noise_skip=True)
    prior = DiffusionPrior(config)
    torch.nn.init.zeros_(prior.out.weight), torch.nn.init.zeros_(prior.out.bias)
    torch.nn.init.zeros_(prior.noise_gate.weight), torch.nn.init.ones_(prior.noise_gate.bias)
    x_t, tokens = torch.randn(3, config.z_dim), torch.randn(3, 24, config.text_width)
    mask, known = torch.ones(3, 24, dtype=torch.bool), torch.ones(3, dtype=torch.bool)
    t = torch.full((3,), 999)
    assert torch.equal(prior(x_t, t, tokens, mask, torch.randn(3, config.z_dim), known), x_t)


def test_the_null_branch_of_prior_guidance_still_sees_the_noised_embedding(tiny):
    """Defect D3 of DALLE2-pytorch: the null branch drops x_t too."""
    prior, clip = tiny.network("prior"), tiny.network("clip")
    with torch.inference_mode():
        z_t, states, mask = clip.encode_text(["a red circle"])
        t, null = torch.tensor([500]), torch.tensor([False])
        outputs = [
            prior(torch.randn(1, prior.config.z_dim), t, states, mask, z_t, null) for _ in range(2)
        ]
        other_text = clip.encode_text(["two blue stars on it"])
        x_t = torch.randn(1, prior.config.z_dim)
        same = [
            prior(x_t, t, s, m, z, null) for z, s, m in ((z_t, states, mask), tuple(other_text))
        ]
    assert not torch.equal(*outputs)
    assert torch.allclose(*same, atol=1e-6)


def test_padding_never_changes_what_the_prior_says(tiny):
    prior, clip = tiny.network("prior"), tiny.network("clip")
    with torch.inference_mode():
        z_t, states, mask = clip.encode_text(["a red circle"])
        changed = torch.where(mask[..., None], states, states + 7.0)
        x_t, t, known = torch.randn(1, prior.config.z_dim), torch.tensor([3]), torch.tensor([True])
        assert torch.allclose(
            prior(x_t, t, states, mask, z_t, known), prior(x_t, t, changed, mask, z_t, known)
        )


def test_planning_loads_no_torch():
    code = (
        "import sys; from reference_model import load; m = load('tiny');"
        "m.plan_stages(m.resolve_settings({'guidance_scale': 2}), 64);"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_arms_that_share_a_stage_plan_the_same_stage(tiny):
    plans = [tiny.plan_stages(tiny.resolve_settings({"guidance_scale": s}), 16) for s in (1.0, 4.0)]
    assert plans[0][0] == plans[1][0]
    assert plans[0][1] != plans[1][1]


def test_caption_and_text_embedding_do_not_share_a_decoder_stage(tiny):
    kinds = ("caption", "text-embedding")
    stages = [tiny.plan_stages(tiny.resolve_settings({"conditioning": k}), 16)[1] for k in kinds]
    assert stages[0] != stages[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"guidence_scale": 2}, 'did you mean "guidance_scale"'),
        ({"conditioning": "prio"}, "allowed: prior"),
        ({"decoder_steps": 2.5}, "a whole number"),
        ({"decoder_steps": 0}, "from 1 to 1000"),
        ({"guidance_scale": float("nan")}, "from 0 to 50"),
        ({"prior_candidates": True}, "a whole number"),
        ({"decoder_candidates": 10**400}, r"10{39}; allowed: a whole number from 1 to 512"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(tiny, change, message):
    with pytest.raises(ValueError, match=message):
        tiny.resolve_settings(change)


def test_a_wrong_size_is_named_with_what_is_allowed(tiny):
    with pytest.raises(ValueError, match="tiny makes 16, 32, 64"):
        tiny.generate(["a"], [0], size=128)


def test_prompts_and_seeds_that_do_not_pair_up_are_refused(tiny):
    with pytest.raises(ValueError, match="one seed each"):
        tiny.generate(["a", "b", "c"], [0, 1])


def test_one_text_in_place_of_a_list_is_no_list_of_letters(tiny):
    with pytest.raises(ValueError, match="'a red circle'; give a list of texts"):
        tiny.generate("a red circle", [0])


def copy_of_tiny(folder):
    shutil.copytree(BUNDLED / "tiny", folder / "tiny")
    return folder / "tiny"


def test_altered_weights_are_refused_by_their_hash(tmp_path):
    folder = copy_of_tiny(tmp_path)
    path = folder / "decoder.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match="damaged or altered"):
        load(folder).network("decoder")


def test_truncated_and_missing_weights_are_refused(tmp_path):
    folder = copy_of_tiny(tmp_path)
    path = folder / "clip.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="damaged or altered"):
        load(folder).network("clip")
    path.unlink()
    with pytest.raises(CheckpointError, match="missing"):
        load(folder).network("clip")


def test_a_manifest_cannot_point_outside_its_folder(tmp_path):
    folder = copy_of_tiny(tmp_path)
    path = folder / "manifest.json"
    data = json.loads(path.read_text())
    data["parts"]["clip"]["file"] = "../../secret"
    path.write_text(json.dumps(data))
    with pytest.raises(CheckpointError, match="plain name"):
        read_manifest(folder)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 1}', '{"format": 99, "parts": {}}'])
def test_a_damaged_manifest_is_one_clear_error(tmp_path, text):
    folder = copy_of_tiny(tmp_path)
    (folder / "manifest.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"manifest\.json"):
        read_manifest(folder)


def test_unknown_weights_name_a_near_match():
    with pytest.raises(CheckpointError, match='did you mean "tiny"'):
        load("tinny")


@pytest.mark.parametrize("part", ["prior", "decoder"])
def test_a_config_with_an_unknown_target_is_refused(part):
    data = to_json(scenes())
    data[part]["target"] = "x_0"
    with pytest.raises(ValueError, match="allowed: x0, eps, v"):
        from_json(StackConfig, data)


def test_unknown_tokens_are_spelled_and_nothing_is_lost():
    tokenizer = CompactTokenizer(vocabulary_of(["a red circle"]), 24)
    known, spelled = tokenizer(["a red circle"])[0], tokenizer(["a red zebra"])[0]
    assert (known != PAD).sum() == 5
    assert (spelled != PAD).sum() == 4 + len("zebra")
    assert tokenizer(["zebra"]).tolist() != tokenizer(["zebru"]).tolist()


def test_a_long_prompt_keeps_its_end_token():
    tokenizer = CompactTokenizer((), 24)
    ids = tokenizer(["word " * 5000, "\U0001f600 <script> \u202e"])
    assert ids.shape == (2, 24)
    assert ids[0, -1] == tokenizer.end
    assert ids.max() == tokenizer.end


def test_spelling_at_random_is_seeded_and_changes_only_the_spelling():
    tokenizer = CompactTokenizer(vocabulary_of(["a red circle"]), 24)
    first = tokenizer(["a red circle"], spell_probability=0.5, seed=3)
    assert torch.equal(first, tokenizer(["a red circle"], spell_probability=0.5, seed=3))
    seeds = {
        tuple(tokenizer(["a red circle"], spell_probability=0.5, seed=s)[0].tolist())
        for s in range(8)
    }
    assert len(seeds) > 2


def test_corruption_of_zero_strength_changes_nothing_and_blur_keeps_a_flat_picture():
    low = torch.rand(2, 3, 8, 8)
    zero, eps = torch.zeros(2), torch.randn(2, 3, 8, 8)
    assert torch.allclose(corrupt(low, zero, zero, eps), low, atol=1e-6)
    flat = torch.full((2, 3, 8, 8), 0.3)
    assert torch.allclose(corrupt(flat, torch.tensor([0.6, 0.2]), zero, eps), flat, atol=1e-6)


def test_upsamplers_have_no_attention_and_take_no_text(tiny):
    for part in UPSAMPLERS:
        names = [n for n, _ in tiny.network(part.replace("_", "-")).named_parameters()]
        assert not [n for n in names if "attention" in n or "text" in n]


def test_the_judge_is_not_the_generators_clip():
    generator, judge = load_clip("scenes"), load_clip("scenes-judge")
    assert generator.weights != judge.weights
    layers = [
        load_network(read_manifest(n), "clip").model.visual for n in ("scenes", "scenes-judge")
    ]
    assert type(layers[0]) is not type(layers[1])
