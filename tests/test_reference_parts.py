"""Smaller parts: the byte-level tokenizer and the degradation of the upsampler's input."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from reference_model.config import TextEncoderConfig
from reference_model.decoder import Decoder, TextEncoder
from reference_model.degradation import add_noise, blur, compress, degrade, gaussian_kernel, resize
from reference_model.presets import preset
from reference_model.tokenizer import PAD, ByteTokenizer
from reference_model.transformer import attend


def picture(value=None):
    rng = np.random.Generator(np.random.PCG64(0))
    shape = (24, 32, 3)
    made = rng.integers(0, 256, shape) if value is None else np.full(shape, value)
    return made.astype(np.uint8)


def test_bytes_spell_every_text_and_never_lose_its_end():
    tokenizer = ByteTokenizer(12)
    ids = tokenizer(["CAT", "größe", "", "a text that is far too long"])
    assert ids[0, :5].tolist() == [tokenizer.start, *(b + 1 for b in b"CAT"), tokenizer.end]
    assert ids[1, 1:8].tolist() == [b + 1 for b in "größe".encode()]
    assert (ids.argmax(dim=1) == torch.tensor([4, 8, 1, 11])).all()
    assert ids.max() < tokenizer.size
    assert (ids[2, 2:] == PAD).all()


def test_a_decoder_reads_bytes_where_its_config_says_so():
    tiny = preset("tiny").decoder
    text = replace(tiny.text, tokenizer="bytes", context_length=32)
    decoder = Decoder(replace(tiny, text=text), ())
    assert decoder.text_encoder.tokens.num_embeddings == 259
    with torch.no_grad():
        made = decoder.sample(
            None, ["CAT", "CAR"], [("a", 0), ("b", 0)], steps=2, guidance_scale=2.0
        )
    assert made.shape == (2, 3, 16, 16)


def test_a_config_written_before_the_tokenizer_had_a_name_still_says_bpe():
    assert TextEncoderConfig(context_length=4, width=8, depth=1, heads=1).tokenizer == "bpe"


def test_every_token_sees_its_neighbours_before_the_first_block():
    """Without them a decoder took 500k images and never learned which colour has which shape."""
    text = TextEncoderConfig(context_length=6, width=8, depth=1, heads=1, neighbours=3)
    encoder, seen = TextEncoder(text, 10), []
    encoder.transformer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        for ids in ([1, 2, 3, 4, 0, 0], [1, 5, 3, 4, 0, 0]):
            encoder(torch.tensor([ids]))
    changed = (seen[0] != seen[1]).any(dim=-1)[0].tolist()
    assert changed == [True, True, True, False, False, False]


def test_a_config_written_before_neighbours_had_a_name_has_none():
    text = TextEncoderConfig(context_length=4, width=8, depth=1, heads=1)
    assert "neighbours.weight" not in TextEncoder(text, 10).state_dict()


@pytest.mark.parametrize("masked", [False, True])
def test_attention_in_plain_operations_equals_the_fused_kernel(masked):
    source = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, length, 8, generator=source) for length in (5, 7, 7))
    allowed = torch.ones(2, 1, 5, 7, dtype=torch.bool) if masked else None
    if allowed is not None:
        allowed[..., 4:] = False
    expected = scaled_dot_product_attention(q, k, v, attn_mask=allowed)
    found = attend(q.bfloat16(), k.bfloat16(), v.bfloat16(), allowed)
    assert (found.float() - expected).abs().max() < 0.03
    if masked:
        assert torch.equal(
            found, attend(*(x.bfloat16() for x in (q, k[..., :4, :], v[..., :4, :])))
        )


def test_a_degraded_picture_keeps_its_size_and_depends_on_its_seed_alone():
    given = picture()
    made = [degrade(given, seed) for seed in (1, 1, 2)]
    assert made[0].shape == given.shape
    assert made[0].dtype == np.uint8
    assert np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])
    assert np.array_equal(given, picture())


@pytest.mark.parametrize("step", [blur, resize, compress])
def test_a_flat_picture_stays_flat_under_all_but_noise(step):
    made = step(picture(120), np.random.Generator(np.random.PCG64(3)))
    assert np.abs(made.astype(int) - 120).max() <= 1


def test_blur_takes_detail_and_noise_adds_it():
    rng = np.random.Generator(np.random.PCG64(3))
    assert blur(picture(), rng).std() < picture().std()
    assert add_noise(picture(120), rng).std() > 0.5


def test_a_turned_kernel_is_long_in_its_own_direction():
    flat, upright = gaussian_kernel(2.0, 0.3, 0.0), gaussian_kernel(2.0, 0.3, np.pi / 2)
    assert flat.sum() == pytest.approx(1, abs=1e-5)
    assert np.allclose(flat, upright.T, atol=1e-6)
    middle = len(flat) // 2
    assert flat[middle, middle + 2] > 100 * flat[middle + 2, middle]
