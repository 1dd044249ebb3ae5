"""Defects of the most used open DALL·E 2 (DALLE2-pytorch 1.15.6) that confound ablations; not ours.

D1 scaling in place, D3 a null branch without x_t: test_reference_stack. D2 a clamp narrower than
the embeddings: test_reference_diffusion. D4 guided variance: test_reference_guidance. D5 a
variational term blind to the target: test_reference_variational. Here D6, D7 and D8.
"""

from dataclasses import replace

import pytest
import torch

from reference_model.decoder import Decoder
from reference_model.diffusion.samplers import SAMPLERS, analytic, sample
from reference_model.diffusion.schedule import Schedule
from reference_model.diffusion.targets import denoiser
from reference_model.presets import preset
from reference_model.prior import DiffusionPrior


def random_text(config, n):
    source = torch.Generator().manual_seed(0)
    z_t = torch.nn.functional.normalize(torch.randn(n, config.z_dim, generator=source), dim=-1)
    states = torch.randn(n, config.context_length, config.text_width, generator=source)
    return z_t, states, torch.ones(n, config.context_length, dtype=torch.bool)


MEASURED = analytic(dict.fromkeys(range(1000), 0.5))


@pytest.mark.parametrize("name", [*sorted(set(SAMPLERS) - {"heun"}), MEASURED])
def test_d6_a_sampler_makes_the_calls_asked_for_begins_in_noise_and_ends_in_range(name):
    """Theirs makes one call less, begins at t = 984, 964 or 937, and ends at t = 0, not at x0."""
    schedule, called = Schedule("cosine"), []

    def network(x_t, t):
        called.append(int(t[0]))
        return torch.cat([3 * torch.sin(5 * x_t), 0 * x_t], dim=1)

    denoise = denoiser(network, "x0", schedule, clip_range=1.0)
    for steps in (1, 15, 27, 64):
        called.clear()
        x_T = torch.randn(2, 3, 4, 4)
        made = sample(
            name, denoise, schedule, x_T, steps=steps, draw=lambda: torch.randn(2, 3, 4, 4)
        )
        assert len(called) == steps
        assert called[0] == schedule.num_timesteps - 1
        assert made.abs().max() <= 1


def test_d6_the_prior_calls_its_network_once_a_step_and_candidate(monkeypatch):
    prior, called = DiffusionPrior(preset("tiny").prior), []
    continued = DiffusionPrior.continued

    def counted(self, x_t, t, *rest):
        called.append(int(t[0]))
        return continued(self, x_t, t, *rest)

    monkeypatch.setattr(DiffusionPrior, "continued", counted)
    with torch.no_grad():
        prior.sample(random_text(prior.config, 2), [("a", 0), ("b", 0)], steps=64, candidates=2)
    assert len(called) == 128
    assert called[0] == called[64] == 999


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_d7_equal_widths_never_mix_the_pictures_of_a_batch(batch):
    """Where cond_dim equals image_embed_dim theirs skips a projection and broadcasts over rows."""
    tiny = preset("tiny").decoder
    torch.manual_seed(0)
    decoder = Decoder(replace(tiny, z_dim=tiny.unet.context_width), ()).eval()
    assert decoder.config.z_dim == decoder.config.unet.context_width == tiny.unet.vector_width
    z, known = torch.randn(batch, decoder.config.z_dim), torch.ones(batch, dtype=torch.bool)
    tokens = decoder.tokenizer(["a red circle", "a star", "rings", ""][:batch])
    with torch.no_grad():
        vector, context = decoder.condition(z, known, tokens)
        assert context.shape[1] == decoder.config.num_z_tokens + tokens.shape[1]
        for row in range(batch):
            one = slice(row, row + 1)
            alone = decoder.condition(z[one], known[one], tokens[one])
            assert torch.allclose(alone[0], vector[one], atol=1e-6)
            assert torch.allclose(alone[1], context[one], atol=1e-6)


@pytest.mark.parametrize(("batch", "candidates"), [(1, 1), (1, 2), (3, 2), (2, 4)])
def test_d8_a_batch_of_embeddings_can_be_sampled(batch, candidates):
    """Theirs (`sample_batch_size`) asks for an attribute that is gone."""
    prior = DiffusionPrior(preset("tiny").prior)
    keys = [(f"p{k}", 0) for k in range(batch)]
    with torch.no_grad():
        z_i = prior.sample(random_text(prior.config, batch), keys, steps=2, candidates=candidates)
    assert torch.allclose(z_i.norm(dim=-1), torch.ones(batch), atol=1e-5)
