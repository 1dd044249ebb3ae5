"""The published sizes, checked without memory: on the meta device."""

import json

import pytest
import torch

from reference_model.ar_prior import AutoregressivePrior
from reference_model.classifier import NoisyClassifier
from reference_model.clip import Clip
from reference_model.config import StackConfig, from_json, to_json
from reference_model.decoder import Decoder
from reference_model.imagen import Imagen
from reference_model.presets import PRESETS, preset
from reference_model.prior import DiffusionPrior
from reference_model.upsamplers import Upsampler
from reference_model.variants import VARIANTS, variants

WHOLE_BPE = range(512, 49_406)  # all of CLIP's tokens beyond the byte units


def networks(stack, vocabulary=()):
    with torch.device("meta"):
        return {
            "clip": Clip(stack.clip, vocabulary),
            "prior": DiffusionPrior(stack.prior),
            "decoder": Decoder(stack.decoder, vocabulary),
            "upsampler_256": Upsampler(stack.upsampler_256),
            "upsampler_1024": Upsampler(stack.upsampler_1024),
        }


def size(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_stage_has_its_expected_size(name):
    stack = preset(name)
    assert {part: size(net) for part, net in networks(stack).items()} == stack.expected_parameters


def test_the_paper_preset_has_the_published_sizes_within_one_percent():
    """Table 3 says 1B, 3.5B, 700M, 300M; public blocks of its shapes give the exact counts."""
    built = networks(preset("paper"), WHOLE_BPE)
    text, visual = size(built["decoder"].text_encoder), size(built["decoder"].unet)
    assert text == pytest.approx(1.317e9, rel=0.01)
    assert visual == pytest.approx(2.238e9, rel=0.01)
    assert size(built["decoder"]) == pytest.approx(3.555e9, rel=0.01)
    assert size(built["prior"]) == pytest.approx(1.226e9, rel=0.01)
    assert size(built["upsampler_256"]) == pytest.approx(691.6e6, rel=0.01)
    assert size(built["upsampler_1024"]) == pytest.approx(267e6, rel=0.01)


def test_training_any_part_of_base_leaves_most_of_24_gb_to_activations():
    """Weights, gradients, Adam's two moments and the moving average: five float32 a parameter."""
    for part, network in networks(preset("base"), WHOLE_BPE).items():
        assert 5 * 4 * size(network) < 24e9 / 3, part


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_survive_json(name):
    config = preset(name)
    assert from_json(StackConfig, json.loads(json.dumps(to_json(config)))) == config


def test_an_unknown_preset_names_a_near_match():
    with pytest.raises(ValueError, match='did you mean "paper"'):
        preset("papr")


def test_upsamplers_of_the_paper_take_a_picture_of_any_size():
    """Trained on crops of a quarter, run on the whole: convolutional, the low picture enlarged."""
    stack = preset("paper")
    built = networks(stack)
    for part, low, high in (("upsampler_256", 16, 64), ("upsampler_1024", 64, 256)):
        x_t, small = (
            torch.empty(1, 3, high, high, device="meta"),
            torch.empty(1, 3, low, low, device="meta"),
        )
        t = torch.zeros(1, dtype=torch.int64, device="meta")
        assert built[part](x_t, t, small).shape == x_t.shape


def variant_networks(known):
    """Return the networks of a preset's variants, without memory."""
    build = {
        "prior_ar": AutoregressivePrior,
        "classifier": NoisyClassifier,
        "decoder_imagen": Imagen,
        "upsampler_256_efficient": Upsampler,
    }
    with torch.device("meta"):
        return {
            part: kind(getattr(known, part))
            for part, kind in build.items()
            if getattr(known, part) is not None
        }


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_every_variant_has_its_expected_size(name):
    known = variants(name)
    sizes = {part: size(net) for part, net in variant_networks(known).items()}
    assert sizes == known.expected_parameters
