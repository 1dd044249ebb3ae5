"""The same function as diffusers' networks: tiny random weights, converted by our importer."""

import karlo_fixtures as tiny
import pytest
import torch
from diffusers import UnCLIPScheduler
from torch.nn import functional

from reference_model.clip import TextEncoding
from reference_model.karlo.decoder import KarloDecoder
from reference_model.karlo.importing import convert_decoder, convert_prior, convert_upsampler
from reference_model.karlo.names import Source
from reference_model.karlo.prior import KarloPrior
from reference_model.karlo.text import TextPair
from reference_model.karlo.upsampler import KarloUpsampler

N = 2


def loaded(build, converted):
    network = build(converted.config)
    network.load_state_dict(converted.tensors)
    return network.eval().requires_grad_(requires_grad=False)


@pytest.fixture(scope="module")
def prior():
    theirs = tiny.tiny_prior()
    source = Source(theirs.state_dict(), "prior")
    statistics = (source.take("clip_mean")[0], source.take("clip_std")[0])
    return theirs, loaded(KarloPrior, convert_prior(source, statistics, heads=2, clip_range=5.0))


@pytest.fixture(scope="module")
def decoder():
    theirs, projections = tiny.tiny_decoder()
    sources = [Source(net.state_dict(), "decoder") for net in (theirs, projections)]
    return theirs, projections, loaded(KarloDecoder, convert_decoder(*sources, image_size=16))


@pytest.fixture(scope="module")
def upsampler():
    theirs = [tiny.tiny_upsampler(seed) for seed in (2, 3)]
    sources = [Source(net.state_dict(), "sr") for net in theirs]
    return *theirs, loaded(KarloUpsampler, convert_upsampler(*sources, sizes=(16, 64)))


def text(seed, lengths=(12, 5)):
    source = torch.Generator().manual_seed(seed)
    mask = torch.arange(tiny.CONTEXT)[None] < torch.tensor(lengths)[:, None]
    states = torch.randn(N, tiny.CONTEXT, tiny.D, generator=source)
    return TextEncoding(torch.randn(N, tiny.D, generator=source), states, mask)


def test_the_prior_is_diffusers_prior_transformer(prior):
    theirs, ours = prior
    z_t, states, mask = text(0)
    x_t, t = torch.randn(N, tiny.D), torch.tensor([3, 870])
    expected = theirs(x_t, t, z_t, states, mask).predicted_image_embedding
    made = ours.network(x_t, t, states, mask, z_t, torch.tensor([True, True]))
    assert (made - expected).abs().max() <= 1e-5


def test_the_decoder_is_diffusers_unet_behind_its_projections(decoder):
    theirs, projections, ours = decoder
    given = text(1)
    z_i, x_t, t = torch.randn(N, tiny.D), torch.randn(N, 3, 16, 16), torch.tensor([7, 640])
    context, added = projections(
        image_embeddings=z_i, prompt_embeds=given.z_t, text_encoder_hidden_states=given.states,
        do_classifier_free_guidance=False,
    )  # fmt: skip
    mask = functional.pad(given.mask, (4, 0), value=True)
    expected = theirs(x_t, t, context, class_labels=added, attention_mask=mask).sample
    made = ours(x_t, t, *ours.condition(z_i, given))
    assert expected.std() > 0.1
    assert (made - expected).abs().max() <= 1e-5


def test_both_upsampling_networks_are_diffusers_unets(upsampler):
    first, last, ours = upsampler
    x_t, low, t = torch.randn(N, 3, 64, 64), torch.randn(N, 3, 16, 16), torch.tensor([0, 999])
    large = ours.enlarged(low)
    same = functional.interpolate(low, size=64, mode="bicubic", align_corners=False, antialias=True)
    assert torch.equal(large, same)
    for theirs, net in ((first, ours.first), (last, ours.last)):
        expected = theirs(torch.cat([x_t, large], dim=1), t).sample
        assert (net(x_t, t, low=large) - expected).abs().max() <= 1e-5


class SharedNoise:
    """Draws from the generator that diffusers' loop is given, in place of noise by key."""

    def __init__(self, keys, stage, device="cpu"):
        self.source = torch.Generator().manual_seed(len(stage))

    def draw(self, *shape):
        return torch.randn(N, *shape, generator=self.source)


def their_loop(scheduler, steps, x, predict, source):
    """The loop of diffusers' pipeline: one scheduler call a step, fresh noise from ``source``."""
    scheduler.set_timesteps(steps)
    # Their float32 table is 7e-4 off at t = 0, where 1 - alpha_bar is 4e-5: a matter of rounding.
    scheduler.betas = scheduler.betas.double()
    scheduler.alphas_cumprod = torch.cumprod(1 - scheduler.betas, dim=0)
    for k, t in enumerate(scheduler.timesteps):
        following = scheduler.timesteps[k + 1] if k + 1 < steps else None
        last = k + 1 == steps
        output = predict(x, t, last)
        x = scheduler.step(output, t, x, generator=source, prev_timestep=following).prev_sample
    return x


def test_the_whole_pipeline_draws_the_same_picture_from_the_same_noise(
    prior, decoder, upsampler, monkeypatch
):
    for module in ("prior", "decoder", "upsampler"):
        monkeypatch.setattr(f"reference_model.karlo.{module}.KeyedNoise", SharedNoise)
    pair, keys = TextPair(text(2), text(3, (2, 2))), [("a", 0), ("b", 0)]
    scales = {"prior": 4.0, "decoder": 8.0}

    z_i = prior[1].sample(pair, keys, steps=5, guidance_scale=scales["prior"])
    small = decoder[2].sample(z_i, pair, keys, steps=4, guidance_scale=scales["decoder"])
    large = upsampler[2].sample(small.clamp(-1, 1), keys, steps=3, stage="upsampler_256")

    z, states, mask = (torch.cat([null, given]) for given, null in zip(*pair, strict=True))

    def guided(output, scale):
        null, given = output.chunk(2)
        mean = null[:, : given.shape[1] // 2 if given.ndim > 2 else None]
        return mean + scale * (given[:, : mean.shape[1]] - mean), given

    def predict_z(x, t, last):
        output = prior[0](torch.cat([x] * 2), t, z, states, mask).predicted_image_embedding
        return guided(output, scales["prior"])[0]

    source = torch.Generator().manual_seed(len("prior"))
    scheduler = UnCLIPScheduler(
        variance_type="fixed_small_log", prediction_type="sample", clip_sample_range=5.0
    )
    start = torch.randn(N, tiny.D, generator=source)
    expected = prior[0].post_process_latents(their_loop(scheduler, 5, start, predict_z, source))
    assert (z_i - expected).abs().max() <= 1e-3

    context, added = decoder[1](
        image_embeddings=expected, prompt_embeds=z, text_encoder_hidden_states=states,
        do_classifier_free_guidance=True,
    )  # fmt: skip
    wide = functional.pad(mask, (4, 0), value=True)

    def predict_small(x, t, last):
        output = decoder[0](
            torch.cat([x] * 2), t, context, class_labels=added, attention_mask=wide
        ).sample
        mean, given = guided(output, scales["decoder"])
        return torch.cat([mean, given[:, 3:]], dim=1)

    source = torch.Generator().manual_seed(len("decoder"))
    scheduler = UnCLIPScheduler(variance_type="learned_range", prediction_type="epsilon")
    start = torch.randn(N, 3, 16, 16, generator=source)
    picture = their_loop(scheduler, 4, start, predict_small, source).clamp(-1, 1)
    assert (small.clamp(-1, 1) - picture).abs().max() <= 1e-3

    condition = upsampler[2].enlarged(picture)

    def predict_large(x, t, last):
        return upsampler[1 if last else 0](torch.cat([x, condition], dim=1), t).sample

    source = torch.Generator().manual_seed(len("upsampler_256"))
    scheduler = UnCLIPScheduler(variance_type="fixed_small_log", prediction_type="epsilon")
    start = torch.randn(N, 3, 64, 64, generator=source)
    picture = their_loop(scheduler, 3, start, predict_large, source)
    assert (large - picture).abs().max() <= 1e-3
