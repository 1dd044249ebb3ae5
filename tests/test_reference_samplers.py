"""Every sampler against what is known exactly: oracles, Gaussians and mixtures of them."""

import itertools

import numpy as np
import pytest
import torch

from reference_model.diffusion.analytic import analytic_variance
from reference_model.diffusion.ddpm import posterior
from reference_model.diffusion.samplers import (
    SAMPLERS,
    analytic_dpm,
    ddim,
    ddim_invert,
    ddpm,
    dpm_solver_2m,
    heun,
    measure_noise_power,
    sample,
)
from reference_model.diffusion.schedule import Schedule
from reference_model.diffusion.targets import denoiser, eps_from_x0, target_of
from reference_model.timesteps import sections, shifted, strided, timesteps_of, trailing

TARGETS, SCHEDULES = ("x0", "eps", "v"), ("cosine", "linear")


def draws(*shape, seed=0):
    source = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(*shape, generator=source, dtype=torch.float64)


def oracle(target, schedule, x0):
    """A network that knows x0 and answers for its target exactly, with a variance in between."""

    def network(x_t, t):
        alpha_bar = schedule.at(t, x_t)
        output = target_of(target, x0, eps_from_x0(x0, x_t, alpha_bar), alpha_bar)
        return torch.cat([output, 0.2 * torch.ones_like(output)], dim=1)

    return network


def mixture(schedule, weights, means, stds):
    """E[x0 | x_t] of a one-dimensional Gaussian mixture, the exact denoiser."""
    w, m, s = (torch.tensor(v, dtype=torch.float64) for v in (weights, means, stds))

    def network(x_t, t):
        a = schedule.at(t, x_t)
        variance = a * s**2 + 1 - a  # [n, k]
        log_r = w.log() - 0.5 * variance.log() - (x_t - a.sqrt() * m) ** 2 / (2 * variance)
        r = log_r.softmax(dim=1)
        return (r * (m + a.sqrt() * s**2 / variance * (x_t - a.sqrt() * m))).sum(1, keepdim=True)

    return network


@pytest.mark.parametrize(
    ("target", "name", "sampler", "steps"),
    list(itertools.product(TARGETS, SCHEDULES, [*SAMPLERS, "analytic"], (1, 2, 7, 25))),
)
def test_no_sampler_loses_a_perfect_prediction(target, name, sampler, steps):
    schedule, draw = Schedule(name), draws(3, 5)
    x0, x_T = draw(), draw()
    denoise = denoiser(oracle(target, schedule, x0), target, schedule)
    if sampler == "analytic":
        power = measure_noise_power(denoise, schedule, x0, steps=steps, draw=draw)
        made = analytic_dpm(denoise, schedule, x_T, steps=steps, draw=draw, noise_power=power)
    else:
        made = sample(sampler, denoise, schedule, x_T, steps=steps, draw=draw)
    assert (made - x0).abs().max() < 1e-6


def sampled_with(sampler, denoise, schedule, draw, steps):
    if sampler == "analytic":
        x0 = denoise(draw(), schedule.num_timesteps - 1).x0_hat * 0 + DATA()
        power = measure_noise_power(denoise, schedule, x0, steps=steps, draw=draw)
        return analytic_dpm(denoise, schedule, draw(), steps=steps, draw=draw, noise_power=power)
    return sample(sampler, denoise, schedule, draw(), steps=steps, draw=draw)


WEIGHTS, MEANS, STDS, N = (0.3, 0.7), (-0.9, 0.6), (0.15, 0.1), 4000


def DATA():  # noqa: N802
    draw = draws(N, 1, seed=9)
    second = torch.rand(N, 1, generator=torch.Generator().manual_seed(1)) > WEIGHTS[0]
    means, stds = torch.tensor(MEANS).double(), torch.tensor(STDS).double()
    index = second.long()
    return means[index] + stds[index] * draw()


@pytest.mark.parametrize(
    ("name", "sampler"),
    list(itertools.product(SCHEDULES, ["ddim", "ddpm", "dpm-solver++2m", "heun", "analytic"])),
)
def test_a_gaussian_mixture_is_recovered_from_its_exact_score(name, sampler):
    schedule = Schedule(name)
    denoise = denoiser(mixture(schedule, WEIGHTS, MEANS, STDS), "x0", schedule)
    # Down to t = 0, or the last move to E[x0 | x_t] narrows the peaks.
    number = {"ddpm": 200, "analytic": 80, "ddim": 150}.get(sampler, 50)
    steps = 25 if sampler == "heun" else strided(1000, number)
    made = sampled_with(sampler, denoise, schedule, draws(N, 1, seed=3), steps)
    right = made > -0.15
    assert right.double().mean().item() == pytest.approx(0.7, abs=0.03)
    for side, mean, std in ((~right, -0.9, 0.15), (right, 0.6, 0.1)):
        assert made[side].mean().item() == pytest.approx(mean, abs=0.02)
        assert made[side].std().item() == pytest.approx(std, rel=0.15)


def gaussian(schedule, mean, std):
    return mixture(schedule, (1.0,), (mean,), (std,))


def after_the_last_step(schedule, steps, std):
    """Deviation of x0_hat when x_t at the last visited timestep has exactly its marginal law."""
    a = float(schedule.alpha_bar[trailing(1000, steps)[-1]])
    return a**0.5 * std**2 / (a * std**2 + 1 - a) ** 0.5


def test_analytic_variance_is_exact_for_a_gaussian_in_five_steps_where_ddpm_is_not():
    schedule, mean, std = Schedule("cosine"), 0.3, 0.5
    denoise = denoiser(gaussian(schedule, mean, std), "x0", schedule)
    draw = draws(40_000, 1, seed=5)
    power = measure_noise_power(denoise, schedule, mean + std * draw(), steps=5, draw=draw)
    right = after_the_last_step(schedule, 5, std)
    made = analytic_dpm(denoise, schedule, draw(), steps=5, draw=draw, noise_power=power)
    narrow = ddpm(denoise, schedule, draw(), steps=5, draw=draw)
    wide = ddpm(denoise, schedule, draw(), steps=5, draw=draw, variance="beta")
    assert made.std().item() == pytest.approx(right, rel=0.02)
    assert narrow.std().item() < 0.95 * right
    assert wide.std().item() > 1.05 * right


def test_analytic_variance_lies_between_its_bounds():
    """Bao et al., Theorem 2: from lambda^2 (a point) to beta (unit noise)."""
    alpha_bar, alpha_bar_next = 0.2, 0.5
    low = analytic_variance(alpha_bar, alpha_bar_next, 1.0)
    high = analytic_variance(alpha_bar, alpha_bar_next, 1 - alpha_bar)
    assert low == pytest.approx(posterior(alpha_bar, alpha_bar_next).variance)
    assert high == pytest.approx(1 - alpha_bar / alpha_bar_next)


def test_an_unmeasured_timestep_is_refused():
    schedule = Schedule("cosine")
    with pytest.raises(ValueError, match="no noise power was measured at timestep 999"):
        analytic_dpm(
            lambda x, t: None, schedule, torch.zeros(1, 1), steps=3, draw=lambda: 0, noise_power={}
        )


@pytest.mark.parametrize(("sampler", "order"), [(ddim, 1), (dpm_solver_2m, 2), (heun, 2)])
def test_halving_the_steps_shrinks_the_error_by_the_samplers_order(sampler, order):
    """The ODE of a Gaussian has a closed form: x0 = mean + std z for x_T = sqrt(..) z + ..."""
    schedule, std = Schedule("linear"), 0.5
    denoise = denoiser(gaussian(schedule, 0.0, std), "x0", schedule)
    x_T = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    errors = []
    for steps in (24, 48):
        grid = sigma_grid(schedule, steps)
        made = sampler(denoise, schedule, x_T, steps=grid)
        a, last = (float(schedule.alpha_bar[t]) for t in (grid[0], grid[-1]))
        z = x_T / (a * std**2 + 1 - a) ** 0.5
        exact = z * last**0.5 * std**2 / (last * std**2 + 1 - last) ** 0.5
        errors.append((made - exact).abs().max().item())
    assert errors[0] / errors[1] > 2**order * 0.75


def sigma_grid(schedule, steps):
    """Timesteps evenly spaced in log sigma between 10 and 0.05."""
    levels = torch.logspace(1, -1.3, steps, dtype=torch.float64)
    return [int((schedule.sigma - level).abs().argmin()) for level in levels]


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 18, 100])
def test_heun_makes_two_calls_a_step_and_one_for_the_last(name, steps):
    schedule, called = Schedule(name), []

    def denoise(x_t, t):
        called.append(t)
        return denoiser(lambda x, _: x * 0, "x0", schedule)(x_t, t)

    heun(denoise, schedule, torch.randn(1, 2), steps=steps)
    assert len(called) == 2 * steps - 1
    assert len(set(called)) == steps


def test_learned_variance_moves_between_the_two_fixed_ones():
    """With fraction 0 the draw of the posterior, with fraction 1 that of beta, bit for bit."""
    schedule = Schedule("cosine")
    x_T = torch.randn(4, 3, dtype=torch.float64)
    for v, fixed in ((-1.0, "posterior"), (1.0, "beta")):

        def network(x_t, t, v=v):
            return torch.cat([0.5 * torch.tanh(x_t), torch.full_like(x_t, v)], dim=1)

        denoise = denoiser(network, "x0", schedule)
        made = [
            ddpm(denoise, schedule, x_T, steps=6, draw=draws(4, 3), variance=variance)
            for variance in ("learned", fixed)
        ]
        assert (made[0] - made[1]).abs().max() < 1e-12


def test_a_learned_variance_that_is_not_there_is_refused():
    schedule = Schedule("cosine")
    denoise = denoiser(lambda x, t: x, "x0", schedule)
    with pytest.raises(ValueError, match="no learned variance"):
        ddpm(denoise, schedule, torch.zeros(1, 2), steps=3, draw=draws(1, 2), variance="learned")


@pytest.mark.parametrize(("name", "steps"), list(itertools.product(SCHEDULES, (10, 50))))
def test_ddim_leads_back_to_the_picture_that_was_inverted(name, steps):
    schedule = Schedule(name)
    denoise = denoiser(mixture(schedule, WEIGHTS, MEANS, STDS), "x0", schedule)
    x0 = DATA()[:64]
    # The median: a fixed point may leave the few points between the peaks unsolved.
    errors = []
    for corrections in (0, 30):
        x_T = ddim_invert(denoise, schedule, x0, steps=steps, corrections=corrections)
        errors.append((ddim(denoise, schedule, x_T, steps=steps) - x0).abs().median().item())
    assert errors[1] < 0.1 * errors[0]
    assert errors[1] < 2e-3


# --- spacing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [7, 15, 25, 27, 50, 64, 250])
def test_the_papers_spacing_is_even_from_the_noisiest_step_to_the_cleanest(steps):
    """Nichol & Dhariwal: K evenly spaced real numbers between 1 and T, rounded."""
    expected = np.round(np.arange(steps) * (999 / (steps - 1))).astype(int)
    assert strided(1000, steps) == expected[::-1].tolist()


def test_fast27_visits_five_sections_as_glide_does():
    visited = sections(1000, [10, 10, 3, 2, 2])
    assert len(visited) == 27
    assert visited[:2] == [999, 800]
    assert visited[-10:] == [round(k * 199 / 9) for k in range(10)][::-1]


def test_one_step_begins_at_pure_noise_in_every_spacing():
    assert trailing(1000, 1) == strided(1000, 1) == [999]


@pytest.mark.parametrize("steps", [[], [3, 3], [1, 2], [1000, 0], [5, -1]])
def test_timesteps_that_do_not_fall_are_refused(steps):
    with pytest.raises(ValueError, match="must fall strictly"):
        timesteps_of(1000, steps)


def test_shifted_steps_begin_at_pure_noise_and_favour_it():
    assert shifted(1000, 20, 1.0) == trailing(1000, 20)
    steps = shifted(1000, 20, 3.0)
    assert steps[0] == 999
    assert len(steps) == 20
    assert sum(t > 850 for t in steps) == 7
    assert steps[10] == round(1000 * 3 * 0.5 / 2) - 1


def test_shifted_steps_that_meet_are_refused():
    with pytest.raises(ValueError, match="1000 steps shifted by 3 meet in 1000 timesteps"):
        shifted(1000, 1000, 3.0)
