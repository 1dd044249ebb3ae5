"""Weights of Karlo's layouts: names, shapes, refusals, and a picture from a tiny folder."""

import gzip
import json
import pickle
from pathlib import Path

import karlo_fixtures as tiny
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ablations.catalogue import import_weights
from dalle2eval.records import InputError
from reference_model import CheckpointError, load
from reference_model.karlo.decoder import KarloDecoder
from reference_model.karlo.importing import (
    convert_decoder,
    convert_prior,
    convert_upsampler,
    import_folder,
)
from reference_model.karlo.names import Source
from reference_model.karlo.prior import KarloPrior
from reference_model.karlo.unet_names import split_heads
from reference_model.karlo.upsampler import KarloUpsampler

FAST = {"decoder_steps": 2, "prior_steps": 2, "upsampler_256_steps": 2, "prior_candidates": 1}
LISTS = Path(__file__).parent / "data" / "karlo_statedicts.json.gz"  # names and shapes, full size


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.write_diffusers_folder(tmp_path_factory.mktemp("karlo") / "diffusers")


@pytest.fixture(scope="module")
def weights(folder):
    target = folder.parent / "mine"
    assert import_folder(folder, target, "mine") == ["clip", "prior", "decoder", "upsampler-256"]
    return target


def full_size(name):
    shapes = json.loads(gzip.decompress(LISTS.read_bytes()))[name]
    return Source({k: torch.empty(v, device="meta") for k, v in shapes.items()}, name)


def fits(build, converted):
    """Our network of the inferred shape takes exactly these names and shapes."""
    with torch.device("meta"):
        network = build(converted.config)
    ours = {k: v.shape for k, v in network.state_dict().items()}
    assert ours == {k: v.shape for k, v in converted.tensors.items()}
    return network


STATISTICS = (torch.zeros(768), torch.ones(768))


@pytest.mark.parametrize("layout", ["diffusers_karlo", "karlo"])
def test_full_size_state_dicts_fit_name_by_name_and_shape_by_shape(layout):
    source = full_size(f"{layout}_prior")
    if layout == "diffusers_karlo":
        source.take("clip_mean"), source.take("clip_std")
    prior = convert_prior(source, STATISTICS, heads=32, clip_range=5.0)
    assert prior.config.network.depth == 20
    fits(KarloPrior, prior)
    source = full_size(f"{layout}_decoder")
    around = full_size("diffusers_karlo_text_proj") if layout == "diffusers_karlo" else source
    decoder = convert_decoder(source, around, image_size=64)
    assert decoder.config.unet.multipliers == (1, 2, 3, 4)
    assert decoder.config.unet.attention_levels == (1, 2, 3)
    network = fits(KarloDecoder, decoder)
    assert sum(p.numel() for p in network.parameters()) == 893_318_086
    name = "diffusers_karlo_super_res_each" if layout == "diffusers_karlo" else "karlo_sr_each"
    upsampler = convert_upsampler(full_size(name), full_size(name), sizes=(64, 256))
    network = fits(KarloUpsampler, upsampler)
    assert sum(p.numel() for p in network.parameters()) == 2 * 691_579_523


def test_heads_are_split_and_not_only_reshaped():
    """Rows of two heads of one channel: q0 k0 v0 q1 k1 v1 become q0 q1 k0 k1 v0 v1."""
    rows = torch.tensor([10, 20, 30, 11, 21, 31])
    assert split_heads(rows, 2, 3).tolist() == [10, 11, 20, 21, 30, 31]


def test_both_layouts_give_the_same_weights(weights, tmp_path):
    original = tiny.write_original_folder(tmp_path / "original")
    import_folder(original, tmp_path / "other", "other")
    for path in sorted(weights.glob("*.safetensors")):
        here, there = load_file(path), load_file(tmp_path / "other" / path.name)
        assert here.keys() == there.keys()
        assert all(torch.equal(here[k], there[k]) for k in here)


ARMS = [
    {},
    {"guidance_scale": 1.0},
    {"conditioning": "text-embedding"},
    {"conditioning": "caption"},
    {"prior_candidates": 2},
    {"decoder_sampler": "dpm-solver++2m", "prior_sampler": "ddim"},
    {"decoder_sampler": "heun", "prior_sampler": "heun"},
    {"guidance_interval": "200-800", "threshold": "dynamic"},
]


@pytest.mark.parametrize("change", ARMS)
def test_imported_weights_draw_pictures_under_every_arm_of_inference(weights, change):
    model = load(weights, device="cpu")
    assert model.sizes == (16, 64)
    images = model.generate(["a red circle"], [0], **{**FAST, **change})
    assert images.shape == (1, 16, 16, 3)
    assert images.std() > 0
    assert (
        images.tobytes() != model.generate(["two blue stars"], [0], **{**FAST, **change}).tobytes()
    )


def test_imported_weights_draw_the_large_picture_and_keep_it_in_another_batch(weights):
    model = load(weights, device="cpu")
    prompts = ["a red circle", "two blue stars"]
    together = model.generate(prompts, [5, 6], size=64, **FAST)
    alone = model.generate(prompts[1:], [6], size=64, **FAST)
    assert together.shape == (2, 64, 64, 3)
    assert np.abs(together[1].astype(int) - alone[0]).max() <= 1


def test_a_decoder_that_reads_clip_is_another_stage_under_another_clip(weights):
    model = load(weights, device="cpu")
    stage = model.plan_stages(model.resolve_settings({}), 16)[1]
    assert model.manifest.part("clip").identity in stage.weights


def test_ddims_eta_is_refused_where_ddpm_samples(weights):
    with pytest.raises(ValueError, match="set it 0"):
        load(weights, device="cpu").generate(["a"], [0], **{**FAST, "decoder_eta": 0.5})


def test_imported_weights_are_found_by_their_name_and_a_bad_name_is_refused(
    folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("DALLE2EVAL_WEIGHTS", str(tmp_path))
    assert import_weights(folder, "mine") == tmp_path / "mine"
    assert load("mine", device="cpu").sizes == (16, 64)
    for name, message in (("../x", "no name"), ("mine", "already"), ("scenes", "already")):
        with pytest.raises(InputError, match=message):
            import_weights(folder, name)
    with pytest.raises(InputError, match="is no folder"):
        import_weights(tmp_path / "nothing", "new")


class Payload:
    def __reduce__(self):
        return (print, ("code ran",))


def test_a_file_that_would_run_code_is_refused_and_runs_none(tmp_path, capsys):
    original = tiny.write_original_folder(tmp_path / "original")
    path = original / "prior-ckpt-step=1.ckpt"
    with path.open("wb") as file:
        pickle.dump({"state_dict": Payload()}, file, protocol=2)
    with pytest.raises(CheckpointError, match="would run code"):
        import_folder(original, tmp_path / "other", "other")
    assert "code ran" not in capsys.readouterr().out
    assert not (tmp_path / "other").exists()
    assert not (tmp_path / "other.partial").exists()


def test_an_existing_target_and_a_foreign_folder_are_refused(folder, weights, tmp_path):
    with pytest.raises(CheckpointError, match="exists"):
        import_folder(folder, weights, "mine")
    with pytest.raises(CheckpointError, match=r"prior/config\.json"):
        import_folder(tmp_path, tmp_path / "new", "new")


def test_a_missing_and_an_unknown_tensor_are_named(folder, tmp_path):
    for change, message in (("drop", "'proj_in.bias' is missing"), ("add", "unknown tensors")):
        copy = tmp_path / change
        copy.mkdir()
        for part in folder.iterdir():
            (copy / part.name).symlink_to(part)
        (copy / "prior").unlink()
        tensors = load_file(folder / "prior" / "model.safetensors")
        if change == "drop":
            del tensors["proj_in.bias"]
        else:
            tensors["surprise"] = torch.zeros(1)
        (copy / "prior").mkdir()
        save_file(tensors, copy / "prior" / "model.safetensors")
        config = (folder / "prior" / "config.json").read_text()
        (copy / "prior" / "config.json").write_text(config)
        with pytest.raises(CheckpointError, match=message):
            import_folder(copy, tmp_path / f"{change}-out", "x")
