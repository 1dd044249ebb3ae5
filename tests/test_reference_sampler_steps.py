"""Every step of every sampler, not only its end: an oracle that knows x0 forgives a wrong path.

A network that derives eps from x_t and x0 gives x0 back from any x_t, so the last call hides every
mistake before it. Here the network knows eps alone: it is right only on the exact path
x_t = signal x0 + noise eps, and the x_t of each call is held against that path.
"""

import itertools
from typing import NamedTuple

import numpy as np
import pytest
import torch

from reference_model.diffusion.samplers import ddim, ddpm, dpm_solver_2m, heun
from reference_model.diffusion.schedule import Schedule
from reference_model.diffusion.targets import denoiser

SCHEDULES = ("cosine", "linear")
# Evenly spaced from the noisy end, written out: the last of N steps ends at 1000/N - 1.
VISITED = {
    1: [999],
    2: [999, 499],
    4: [999, 749, 499, 249],
    5: [999, 799, 599, 399, 199],
    10: [999, 899, 799, 699, 599, 499, 399, 299, 199, 99],
}
UNEVEN = [980, 700, 420, 300, 60, 3]


class Call(NamedTuple):
    """What a sampler asked of its network."""

    t: int
    x_t: torch.Tensor


class Watched:
    """A denoiser that remembers its calls."""

    def __init__(self, network, target, schedule):
        self.calls = []
        self._denoise = denoiser(network, target, schedule)

    def __call__(self, x_t, t):
        self.calls.append(Call(t, x_t.clone()))
        return self._denoise(x_t, t)


def unit(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def on_path(schedule, x0, eps, t):
    alpha_bar = float(schedule.alpha_bar[t])
    return alpha_bar**0.5 * x0 + (1 - alpha_bar) ** 0.5 * eps


def walk(sampler, schedule, steps, first):
    """Sample from the exact x_T of (x0, eps) with a network that answers eps whatever x_t is."""
    x0, eps = unit(3, 5, seed=1), unit(3, 5, seed=2)
    denoise = Watched(lambda x_t, t: eps, "eps", schedule)
    made = sampler(denoise, schedule, on_path(schedule, x0, eps, first), steps=steps)
    for call in denoise.calls:
        assert (call.x_t - on_path(schedule, x0, eps, call.t)).abs().max() < 1e-5, call.t
    assert (made - x0).abs().max() < 1e-5
    return [call.t for call in denoise.calls]


@pytest.mark.parametrize(
    ("name", "sampler", "steps"),
    list(itertools.product(SCHEDULES, (ddim, dpm_solver_2m), VISITED)),
)
def test_no_step_leaves_the_exact_path(name, sampler, steps):
    """A wrong order, a neighbour's alpha_bar or a wrong noise scale shows at the next call."""
    assert walk(sampler, Schedule(name), steps, 999) == VISITED[steps]


@pytest.mark.parametrize(
    ("name", "sampler"), list(itertools.product(SCHEDULES, (ddim, dpm_solver_2m)))
)
def test_uneven_steps_are_as_long_as_their_timesteps_say(name, sampler):
    assert walk(sampler, Schedule(name), UNEVEN, UNEVEN[0]) == UNEVEN


@pytest.mark.parametrize("name", SCHEDULES)
def test_heuns_trial_step_lands_on_the_path_too(name):
    """Each step asks at its start and, after the Euler move, at its end; the last asks once."""
    asked = walk(heun, Schedule(name), UNEVEN, UNEVEN[0])
    assert asked == [UNEVEN[0], *(t for t in UNEVEN[1:] for _ in range(2))]
    assert len(asked) == 2 * len(UNEVEN) - 1


@pytest.mark.parametrize(("name", "steps"), list(itertools.product(SCHEDULES, (3, 6))))
def test_heun_visits_the_noise_levels_of_edm(name, steps):
    """Karras et al. (2022), Eq. 5: (80^(1/7) + i/(N-1) (0.002^(1/7) - 80^(1/7)))^7, nearest."""
    schedule = Schedule(name)
    sigma = schedule.sigma.numpy()
    first = int(np.abs(sigma - 80).argmin())
    top, bottom = sigma[first] ** (1 / 7), max(0.002, sigma[0]) ** (1 / 7)
    levels = [(top + i / (steps - 1) * (bottom - top)) ** 7 for i in range(steps)]
    expected = [int(np.abs(sigma - level).argmin()) for level in levels]
    asked = walk(heun, schedule, steps, first)
    assert asked == [expected[0], *(t for t in expected[1:] for _ in range(2))]


# --- DDPM: the posterior of one step, by Bayes' rule from the forward process alone ---------------


def bayes(schedule, x0, x_t, t, t_next):
    """Mean and variance of x_next given x_t and x0: prior precision plus that of the observation.

    x_next | x0 is N(signal x0, noise^2); x_t | x_next is N(sqrt(alpha) x_next, beta).
    """
    a, a_next = (float(schedule.alpha_bar[i]) for i in (t, t_next))
    alpha = a / a_next
    precision = 1 / (1 - a_next) + alpha / (1 - alpha)
    mean = (a_next**0.5 * x0 / (1 - a_next) + alpha**0.5 * x_t / (1 - alpha)) / precision
    return mean, 1 / precision


def recorded(sampler, schedule, steps, network, **options):
    """Run a stochastic sampler and return its calls with the noise that each step drew."""
    source, drawn = torch.Generator().manual_seed(7), []

    def draw():
        drawn.append(torch.randn(6, 1, generator=source, dtype=torch.float64))
        return drawn[-1]

    denoise = Watched(network, "x0", schedule)
    x_T = unit(6, 1, seed=3)
    sampler(denoise, schedule, x_T, steps=steps, draw=draw, **options)
    assert torch.equal(denoise.calls[0].x_t, x_T)
    return denoise.calls, drawn


def gaussian_x0(schedule, mean=0.3, std=0.5):
    """E[x0 | x_t] where x0 is N(mean, std^2)."""

    def network(x_t, t):
        a = schedule.at(t, x_t)
        return mean + a.sqrt() * std**2 / (a * std**2 + 1 - a) * (x_t - a.sqrt() * mean)

    return network


@pytest.mark.parametrize(
    ("name", "steps", "variance"),
    list(itertools.product(SCHEDULES, (5, UNEVEN), ("posterior", "beta"))),
)
def test_each_ddpm_step_has_the_mean_and_variance_of_the_posterior(name, steps, variance):
    schedule = Schedule(name)
    network = gaussian_x0(schedule)
    calls, drawn = recorded(ddpm, schedule, steps, network, variance=variance)
    timesteps = VISITED[steps] if isinstance(steps, int) else steps
    assert [call.t for call in calls] == timesteps
    assert len(drawn) == len(timesteps) - 1  # the last move goes to x0 and draws nothing
    for (here, there), noise in zip(itertools.pairwise(calls), drawn, strict=True):
        x0_hat = network(here.x_t, torch.full((6,), here.t))
        mean, narrow = bayes(schedule, x0_hat, here.x_t, here.t, there.t)
        wide = 1 - float(schedule.alpha_bar[here.t] / schedule.alpha_bar[there.t])
        std = (narrow if variance == "posterior" else wide) ** 0.5
        assert (there.x_t - mean - std * noise).abs().max() < 1e-9, there.t


@pytest.mark.parametrize("name", SCHEDULES)
def test_ddim_with_full_noise_takes_the_steps_of_ddpm(name):
    """Song et al. (2021), §4.1: eta = 1 is DDPM's posterior, mean and variance."""
    schedule = Schedule(name)
    network = gaussian_x0(schedule)
    ours, _ = recorded(ddpm, schedule, UNEVEN, network)
    theirs, drawn = recorded(ddim, schedule, UNEVEN, network, eta=1.0)
    assert len(drawn) == len(UNEVEN) - 1
    for a, b in zip(ours, theirs, strict=True):
        assert a.t == b.t
        assert (a.x_t - b.x_t).abs().max() < 1e-9


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_ddpm_chain_towards_one_point_keeps_the_forward_process_at_every_call(name):
    """With x0 known, x_t is N(signal x0, noise^2) at each timestep, start and end alike."""
    schedule, n, x0 = Schedule(name), 20_000, 0.8
    source = torch.Generator().manual_seed(11)

    def draw():
        return torch.randn(n, 1, generator=source, dtype=torch.float64)

    denoise = Watched(lambda x_t, t: torch.full_like(x_t, x0), "x0", schedule)
    alpha_bar = float(schedule.alpha_bar[UNEVEN[0]])
    x_T = alpha_bar**0.5 * x0 + (1 - alpha_bar) ** 0.5 * draw()
    ddpm(denoise, schedule, x_T, steps=UNEVEN, draw=draw)
    for call in denoise.calls:
        alpha_bar = float(schedule.alpha_bar[call.t])
        noise = (1 - alpha_bar) ** 0.5
        assert call.x_t.mean().item() == pytest.approx(alpha_bar**0.5 * x0, abs=4 * noise / n**0.5)
        # Four standard errors of a sample variance: 4 sqrt(2 / n).
        assert call.x_t.var().item() == pytest.approx(noise**2, rel=4 * (2 / n) ** 0.5)
