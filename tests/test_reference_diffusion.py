"""Oracle tests: with a perfect predictor every sampler returns x0, for any target and schedule."""

import itertools

import numpy as np
import pytest
import torch

from reference_model.diffusion.guidance import classifier_free
from reference_model.diffusion.noise import KeyedNoise
from reference_model.diffusion.samplers import ddim, ddpm, posterior
from reference_model.diffusion.schedule import Schedule
from reference_model.diffusion.targets import (
    denoiser,
    eps_from_x0,
    q_sample,
    target_of,
    x0_from,
)
from reference_model.timesteps import trailing

TARGETS, SCHEDULES = ("x0", "eps", "v"), ("cosine", "linear")


def oracle(target, schedule, x0):
    """A network that knows x0 and answers for its target exactly."""

    def network(x_t, t):
        alpha_bar = schedule.at(t, x_t)
        return target_of(target, x0, eps_from_x0(x0, x_t, alpha_bar), alpha_bar)

    return network


@pytest.mark.parametrize(
    ("target", "name", "sampler", "steps"),
    list(itertools.product(TARGETS, SCHEDULES, ("ddim", "ddim-eta", "ddpm"), (1, 4, 25))),
)
def test_a_perfect_predictor_is_not_lost_by_the_sampler(target, name, sampler, steps):
    schedule = Schedule(name)
    noise = torch.Generator().manual_seed(0)
    x0 = torch.randn(3, 5, generator=noise, dtype=torch.float64)
    x_T = torch.randn(3, 5, generator=noise, dtype=torch.float64)
    denoise = denoiser(oracle(target, schedule, x0), target, schedule)

    def draw():
        return torch.randn(3, 5, generator=noise, dtype=torch.float64)

    if sampler == "ddpm":
        made = ddpm(denoise, schedule, x_T, steps=steps, draw=draw)
    else:
        eta = 1.0 if sampler == "ddim-eta" else 0.0
        made = ddim(denoise, schedule, x_T, steps=steps, eta=eta, draw=draw)
    assert (made - x0).abs().max() < 1e-6


@pytest.mark.parametrize("steps", [1, 2, 7, 25, 27, 250, 1000])
def test_ddim_makes_exactly_the_calls_asked_for_from_pure_noise(steps):
    schedule, called = Schedule("cosine"), []

    def denoise(x_t, t):
        called.append(t)
        return denoiser(lambda x, _: x * 0, "x0", schedule)(x_t, t)

    ddim(denoise, schedule, torch.randn(1, 2), steps=steps)
    assert len(called) == steps
    assert called[0] == schedule.num_timesteps - 1
    assert all(a > b for a, b in itertools.pairwise(called))


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_an_impossible_step_count_is_refused(steps):
    with pytest.raises(ValueError, match="allowed: 1 to 1000"):
        trailing(1000, steps)


@pytest.mark.parametrize(("target", "name"), list(itertools.product(TARGETS, SCHEDULES)))
def test_a_target_turned_back_into_x0_loses_no_digits(target, name):
    schedule = Schedule(name)
    t = torch.arange(0, 1000, 37)
    x0 = torch.randn(len(t), 4, dtype=torch.float64)
    eps = torch.randn(len(t), 4, dtype=torch.float64)
    alpha_bar = schedule.at(t, x0)
    x_t = q_sample(x0, eps, alpha_bar)
    back = x0_from(target, target_of(target, x0, eps, alpha_bar), x_t, alpha_bar)
    assert (back - x0).abs().max() < 1e-7


@pytest.mark.parametrize("name", SCHEDULES)
def test_alpha_bar_falls_from_clean_to_noise(name):
    alpha_bar = Schedule(name).alpha_bar
    assert alpha_bar.dtype == torch.float64
    assert (alpha_bar[1:] < alpha_bar[:-1]).all()
    assert alpha_bar[0] > 0.999
    assert alpha_bar[-1] < 1e-4


@pytest.mark.parametrize("name", SCHEDULES)
def test_q_sample_has_the_moments_that_alpha_bar_says(name):
    alpha_bar = Schedule(name).alpha_bar[500]
    eps = torch.randn(200_000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x_t = q_sample(torch.tensor(0.7, dtype=torch.float64), eps, alpha_bar)
    assert x_t.mean().item() == pytest.approx(0.7 * alpha_bar.sqrt().item(), abs=0.01)
    assert x_t.var().item() == pytest.approx(1 - alpha_bar.item(), abs=0.02)


def test_the_posterior_equals_brute_force_bayes_in_one_dimension():
    alpha_bar, alpha_bar_next, x0, x_t = 0.3, 0.6, 0.8, -0.4
    grid = np.linspace(-6, 6, 200_001)
    alpha = alpha_bar / alpha_bar_next
    log_p = -((grid - alpha_bar_next**0.5 * x0) ** 2) / (2 * (1 - alpha_bar_next))
    log_p -= (x_t - alpha**0.5 * grid) ** 2 / (2 * (1 - alpha))
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    mean = (p * grid).sum()
    weight_x0, weight_x_t, variance = posterior(alpha_bar, alpha_bar_next)
    assert weight_x0 * x0 + weight_x_t * x_t == pytest.approx(mean, abs=1e-6)
    assert variance == pytest.approx((p * (grid - mean) ** 2).sum(), abs=1e-6)


@pytest.mark.parametrize("sampler", [ddim, ddpm])
def test_a_gaussian_with_its_exact_denoiser_is_recovered(sampler):
    """E[x0 | x_t] is linear for Gaussian data, so the sampler's output law is known."""
    schedule, mean, std = Schedule("cosine"), 0.5, 0.25
    source = torch.Generator().manual_seed(3)

    def network(x_t, t):
        a = schedule.at(t, x_t)
        gain = a.sqrt() * std**2 / (a * std**2 + 1 - a)
        return mean + gain * (x_t - a.sqrt() * mean)

    def draw():
        return torch.randn(20_000, 1, generator=source, dtype=torch.float64)

    denoise = denoiser(network, "x0", schedule)
    extra = {"draw": draw} if sampler is ddpm else {}
    made = sampler(denoise, schedule, draw(), steps=200, **extra)
    assert made.mean().item() == pytest.approx(mean, abs=0.01)
    assert made.std().item() == pytest.approx(std, rel=0.05)


def test_a_clamp_narrower_than_the_data_loses_even_a_perfect_eps(recwarn):
    """Defect D2 of DALLE2-pytorch: embeddings scaled to unit variance, clamped to [-1, 1]."""
    schedule = Schedule("cosine")
    x0 = torch.randn(64, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    network = oracle("eps", schedule, x0)
    x_T = torch.randn(64, 64, dtype=torch.float64)
    errors = {}
    for clip_range in (1.0, 6.0):
        denoise = denoiser(network, "eps", schedule, clip_range=clip_range)
        made = ddim(denoise, schedule, x_T, steps=64)
        errors[clip_range] = ((made - x0).norm() / x0.norm()).item()
    assert errors[1.0] > 0.3
    assert errors[6.0] < 1e-5


def test_guidance_scale_one_is_bit_for_bit_off():
    condition, null = torch.randn(4, 3), torch.zeros(4, 3)
    calls = []

    def network(x_t, t, c):
        calls.append(len(x_t))
        return torch.tanh(x_t * c + t[:, None])

    x_t, t = torch.randn(4, 3), torch.arange(4)
    guided = classifier_free(network, (condition,), (null,), 1.0)
    assert torch.equal(guided(x_t, t), network(x_t, t, condition))
    assert calls == [4, 4]


def test_guidance_is_one_batched_call_and_extrapolates_from_the_null():
    condition, null = torch.ones(2, 3), torch.zeros(2, 3)
    calls = []

    def network(x_t, t, c):
        calls.append(len(x_t))
        return c * 2 + 1

    guided = classifier_free(network, (condition,), (null,), 3.0)
    assert torch.equal(guided(torch.zeros(2, 3), torch.zeros(2)), torch.full((2, 3), 7.0))
    assert calls == [4]


def test_noise_depends_on_its_key_and_stage_and_not_on_its_neighbours():
    alone = KeyedNoise([("p", 1)], "decoder").draw(3)
    crowd = KeyedNoise([("q", 1), ("p", 1), ("p", 2)], "decoder").draw(3)
    other_stage = KeyedNoise([("p", 1)], "prior").draw(3)
    assert torch.equal(alone[0], crowd[1])
    assert not torch.equal(crowd[1], crowd[2])
    assert not torch.equal(alone, other_stage)


def test_noise_keys_cannot_run_into_each_other():
    first = KeyedNoise([("a1", 2)], "s").draw(2)
    second = KeyedNoise([("a", 12)], "s").draw(2)
    assert not torch.equal(first, second)


def test_a_stochastic_ddim_without_noise_is_refused():
    with pytest.raises(ValueError, match="needs draw="):
        ddim(lambda x, t: None, Schedule("cosine"), torch.zeros(1, 1), steps=2, eta=0.5)
