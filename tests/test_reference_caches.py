"""What is made once for all steps of a sampler: the same function, and really only once."""

from dataclasses import replace

import karlo_fixtures as tiny
import pytest
import torch

from reference_model.clip import TextEncoding
from reference_model.decoder import Decoder
from reference_model.diffusion.steering import Steering
from reference_model.imagen import Imagen, ImagenConfig
from reference_model.karlo.decoder import KarloDecoder
from reference_model.karlo.importing import convert_decoder, convert_prior
from reference_model.karlo.names import Source
from reference_model.karlo.prior import KarloPrior
from reference_model.karlo.text import TextPair
from reference_model.presets import preset
from reference_model.prior import DiffusionPrior
from reference_model.upsamplers import Upsampler

N = 2
KEYS = [("a", 0), ("b", 0)]


def filled(network, seed=0):
    """Draw every parameter, also those that begin at zero, where any wrong input is silent."""
    source = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.4, generator=source)
    return network.eval().requires_grad_(requires_grad=False)


def loaded(build, converted):
    network = build(converted.config)
    network.load_state_dict(converted.tensors)
    return network.eval().requires_grad_(requires_grad=False)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def text(width, d, length=6, real=(6, 3), seed=0):
    mask = torch.arange(length)[None] < torch.tensor(real)[:, None]
    return TextEncoding(random(N, d, seed=seed), random(N, length, width, seed=seed + 1), mask)


@pytest.fixture(scope="module")
def decoder():
    return filled(Decoder(preset("tiny").decoder, ()))


@pytest.fixture(scope="module")
def karlo():
    theirs, projections = tiny.tiny_decoder()
    sources = [Source(net.state_dict(), "decoder") for net in (theirs, projections)]
    return loaded(KarloDecoder, convert_decoder(*sources, image_size=16))


@pytest.fixture(scope="module")
def karlo_prior():
    source = Source(tiny.tiny_prior().state_dict(), "prior")
    statistics = (source.take("clip_mean")[0], source.take("clip_std")[0])
    return loaded(KarloPrior, convert_prior(source, statistics, heads=2, clip_range=5.0))


@pytest.fixture(scope="module")
def imagen():
    unet = replace(preset("tiny").decoder.unet, context_width=16, vector_width=16)
    return filled(Imagen(ImagenConfig(image_size=16, pooled_width=6, text_width=10, unet=unet)))


def calls_of(module):
    """Return the list to which every call of a module adds the rows that it was given."""
    rows = []
    module.register_forward_hook(lambda _, given, __: rows.append(len(given[0])))
    return rows


def test_a_decoder_with_projected_context_is_the_same_function(decoder):
    x_t, t = random(N, 3, 16, 16), torch.tensor([3, 900])
    z_i, known = random(N, 8), torch.tensor([True, False])
    tokens = decoder.tokenizer(["a red circle", "two stars"])
    expected = decoder(x_t, t, *decoder.condition(z_i, known, tokens))
    assert expected.std() > 0.01
    made = decoder.from_projected(x_t, t, *decoder.projected(z_i, known, tokens))
    assert (made - expected).abs().max() <= 1e-6
    other = decoder.from_projected(x_t, t, *decoder.projected(z_i, known, tokens.flip(0)))
    assert (other - expected).abs().max() > 1e-4


def test_karlos_decoder_with_projected_context_still_sees_no_padding(karlo):
    x_t, t = random(N, 3, 16, 16), torch.tensor([3, 900])
    z_i, given = random(N, tiny.D), text(tiny.D, tiny.D, tiny.CONTEXT, (12, 5))
    expected = karlo(x_t, t, *karlo.condition(z_i, given))
    padded = given._replace(states=torch.where(given.mask[..., None], given.states, 7.0))
    for encoding in (given, padded):
        made = karlo.from_projected(x_t, t, *karlo.projected(z_i, encoding))
        assert (made - expected).abs().max() <= 1e-6


def test_imagens_network_with_projected_context_is_the_same_function(imagen):
    x_t, t, given = random(N, 3, 16, 16), torch.tensor([3, 900]), text(10, 6)
    for known in (torch.tensor([True, True]), torch.tensor([False, True])):
        expected = imagen(x_t, t, *imagen.condition(given, known))
        made = imagen.from_projected(x_t, t, *imagen.projected(given, known))
        assert (made - expected).abs().max() <= 1e-6


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("noise_skip", [True, False])
def test_a_prior_that_remembers_the_text_is_the_same_function(known, noise_skip):
    config = replace(preset("tiny").prior, depth=3, width=8, noise_skip=noise_skip)
    prior = filled(DiffusionPrior(config))
    z_t, states, mask = text(config.text_width, config.z_dim, config.context_length, (24, 5))
    known = torch.tensor([True, known])
    past = prior.remember(states, mask, z_t, known)
    for t in (0, 500, 999):
        x_t, steps = random(N, config.z_dim, seed=t), torch.full((N,), t)
        expected = prior(x_t, steps, states, mask, z_t, known)
        assert expected.std() > 0.1
        assert (prior.continued(x_t, steps, *past) - expected).abs().max() <= 1e-6


def test_karlos_prior_that_remembers_the_text_is_the_same_function(karlo_prior):
    network = karlo_prior.network
    z_t, states, mask = text(tiny.D, tiny.D, tiny.CONTEXT, (12, 5))
    known, x_t, t = torch.tensor([True, True]), random(N, tiny.D), torch.tensor([3, 900])
    expected = network(x_t, t, states, mask, z_t, known)
    made = network.continued(x_t, t, *network.remember(states, mask, z_t, known))
    assert (made - expected).abs().max() <= 1e-5


@pytest.mark.parametrize(("scale", "times"), [(1.0, 1), (3.0, 2)])
def test_sampling_projects_the_text_once_whatever_the_steps(decoder, scale, times):
    attention = next(level.attention for level in decoder.unet.up if level.attention)
    rows = calls_of(attention.context_kv)
    decoder.sample(random(N, 8), ["a", "b"], KEYS, steps=4, guidance_scale=scale)
    assert rows == [N] * times


@pytest.mark.parametrize(("scale", "times"), [(1.0, 1), (4.0, 2)])
def test_a_prior_runs_its_text_once_whatever_the_steps_and_candidates(scale, times):
    prior = filled(DiffusionPrior(preset("tiny").prior))
    rows = calls_of(prior.states_in)
    z_t, states, mask = text(4, 8, 24, (24, 5))
    prior.sample((z_t, states, mask), KEYS, steps=3, guidance_scale=scale, candidates=2)
    assert rows == [N] * times


@pytest.mark.parametrize(("scale", "times"), [(1.0, 1), (4.0, 2)])
def test_karlos_stages_read_the_text_once_whatever_the_steps(karlo, karlo_prior, scale, times):
    attention = next(level.attention for level in karlo.unet.down if level.attention)
    projected, read = calls_of(attention.context_kv), calls_of(karlo_prior.network.states_in)
    given, null = (text(tiny.D, tiny.D, tiny.CONTEXT, real) for real in ((12, 5), (2, 2)))
    pair = TextPair(given, null)
    z_i = karlo_prior.sample(pair, KEYS, steps=3, guidance_scale=scale)
    karlo.sample(z_i, pair, KEYS, steps=3, guidance_scale=scale)
    assert projected == read == [N] * times


def test_where_guidance_is_off_the_null_half_is_never_computed(decoder):
    rows = calls_of(decoder.unet.stem)
    steering = Steering(interval=(200, 700))
    decoder.sample(
        random(N, 8), ["a", "b"], KEYS, steps=[900, 700, 200, 100], guidance_scale=3.0,
        steering=steering,
    )  # fmt: skip
    assert rows == [N, 2 * N, 2 * N, N]


def test_an_upsampler_enlarges_its_picture_once(monkeypatch):
    upsampler = filled(Upsampler(replace(preset("tiny").upsampler_256, residual=True)))
    low, x_t, t = random(N, 3, 16, 16), random(N, 3, 32, 32), torch.tensor([3, 900])
    made = upsampler.from_prepared(x_t, t, *upsampler.prepare(low))
    assert torch.equal(made, upsampler(x_t, t, low))
    calls = []
    prepare = upsampler.prepare
    monkeypatch.setattr(upsampler, "prepare", lambda low: calls.append(1) or prepare(low))
    upsampler.sample(low, KEYS, steps=3, stage="upsampler_256")
    assert calls == [1]
