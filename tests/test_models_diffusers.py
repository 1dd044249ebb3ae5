"""A pipeline comes from a local folder of safetensors, or it does not come at all."""

import json

import numpy as np
import pytest

from dalle2eval.models import open_system
from dalle2eval.records import InputError

pytest.importorskip("diffusers")

INDEX = {"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]}


def folder(tmp_path, index=None, *files):
    (tmp_path / "pipe" / "unet").mkdir(parents=True)
    (tmp_path / "pipe" / "model_index.json").write_text(json.dumps(index or INDEX))
    for name in files:
        (tmp_path / "pipe" / name).write_bytes(b"x")
    return tmp_path / "pipe"


@pytest.mark.parametrize(
    ("index", "files", "message"),
    [
        (INDEX, ["unet/diffusion_pytorch_model.bin"], "would have to be unpickled"),
        (INDEX, ["pipeline.py"], "pipeline.py is code, which is not run"),
        ([1], [], "not a JSON object"),
        ({"_class_name": ["my", "Pipe"]}, [], "no pipeline of diffusers itself"),
        ({**INDEX, "vae": ["os", "system"]}, [], "vae is of 'os'; allowed: diffusers' own"),
        ({**INDEX, "vae": ["../x", "y"]}, [], "allowed: diffusers' own"),
    ],
)
def test_code_pickles_and_foreign_parts_are_refused_unread(tmp_path, index, files, message):
    with pytest.raises(InputError, match=message):
        open_system(f"diffusers:{folder(tmp_path, index, *files)}")


def test_a_hub_name_is_no_folder_and_nothing_is_downloaded():
    with pytest.raises(InputError, match=r"no pipeline of diffusers \(a local folder"):
        open_system("diffusers:some-org/some-model")


def test_the_identity_is_the_bytes_of_the_folder(tmp_path):
    place = folder(tmp_path, None, "unet/model.safetensors")
    before = open_system(f"diffusers:{place}").weights
    assert open_system(f"diffusers:{place}").weights == before
    (place / "unet" / "model.safetensors").write_bytes(b"y")
    assert open_system(f"diffusers:{place}").weights != before


def tiny_pipeline(place):
    """Write a random pipeline of a few thousand weights, with a tokenizer of single letters."""
    import torch
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [*letters, *(f"{c}</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    place.mkdir()
    (place / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (place / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(place / "vocab.json"), str(place / "merges.txt"))
    tokenizer.model_max_length = 16
    text = CLIPTextConfig(
        vocab_size=len(words), hidden_size=8, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=16, projection_dim=8,
        bos_token_id=len(words) - 2, eos_token_id=len(words) - 1, pad_token_id=len(words) - 1,
    )  # fmt: skip
    unet = UNet2DConditionModel(
        sample_size=32, in_channels=4, out_channels=4, block_out_channels=(8, 16),
        layers_per_block=1, norm_num_groups=4, cross_attention_dim=8, attention_head_dim=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=(8, 8), norm_num_groups=4, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    pipeline = StableDiffusionPipeline(
        vae=vae, unet=unet, text_encoder=CLIPTextModel(text), tokenizer=tokenizer,
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    for name in ("vocab.json", "merges.txt"):
        (place / name).unlink()
    pipeline.save_pretrained(place, safe_serialization=True)
    return place


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    pytest.importorskip("transformers")
    place = tiny_pipeline(tmp_path_factory.mktemp("tiny") / "pipe")
    return open_system(f"diffusers:{place}", "cpu")


def draw(system, prompts, keys, **settings):
    chosen = system.resolve_settings({"steps": 2, **settings})
    stage = system.plan_stages(chosen, 64)[0]
    system.check_samples(stage, prompts, keys)
    return system.run_stage(stage, prompts, keys, None)


def test_a_pipeline_draws_what_its_prompt_and_seed_say(system):
    prompts, keys = ["a red dog", "a cat", "a cat"], [("p", 0), ("q", 0), ("q", 1)]
    images = draw(system, prompts, keys)
    assert images.shape == (3, 64, 64, 3)
    assert not np.array_equal(images[1], images[2])
    alone = draw(system, prompts[2:], keys[2:])
    assert np.abs(alone[0].astype(int) - images[2]).max() <= 1
    assert np.array_equal(draw(system, prompts, keys), images)
    assert not np.array_equal(draw(system, prompts, keys, guidance_scale=1.0), images)


def test_a_setting_that_the_pipeline_does_not_know_is_told(system):
    class Plain:
        def __call__(self, prompt, generator, output_type):
            raise AssertionError

    drawer = system.drawer
    settings = system.resolve_settings({"steps": 2})
    with pytest.raises(InputError, match="Plain takes no num_inference_steps"):
        drawer._arguments(Plain(), settings)


def test_a_broken_network_is_counted_and_not_averaged(system, caplog):
    from dalle2eval.models import find_faults
    from dalle2eval.models.faults import NOT_A_NUMBER

    pipeline = system.drawer._pipeline("float32")
    weight = pipeline.vae.decoder.conv_out.bias
    before = weight.detach().clone()
    weight.data[:] = float("nan")
    try:
        images = draw(system, ["a", "b"], [("p", 0), ("q", 0)])
    finally:
        weight.data[:] = before
    assert find_faults(images) == [NOT_A_NUMBER] * 2
    assert "NaN" in caplog.text


def test_missing_weights_are_one_line_and_no_download(system, tmp_path):
    place = folder(tmp_path, {**INDEX, "_diffusers_version": "0.38.0"})
    with pytest.raises(InputError, match="diffusers cannot read it"):
        draw(open_system(f"diffusers:{place}", "cpu"), ["a"], [("p", 0)])
