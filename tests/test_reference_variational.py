"""The term that trains a learned variance, for every target (defect D5 of DALLE2-pytorch)."""

import itertools

import pytest
import torch

from reference_model.diffusion.ddpm import posterior
from reference_model.diffusion.schedule import Schedule
from reference_model.diffusion.targets import (
    Prediction,
    denoiser,
    eps_from_x0,
    q_sample,
    target_of,
)
from reference_model.diffusion.variational import variational_term


@pytest.mark.parametrize(
    ("target", "name", "t"),
    list(itertools.product(("x0", "eps", "v"), ("cosine", "linear"), (1, 10, 500, 990))),
)
def test_a_perfect_network_has_no_variational_loss_whatever_its_target(target, name, t):
    """Their term takes every output for eps: a perfect x0 network is up to 0.9 off in the mean."""
    schedule = Schedule(name)
    x0, eps = torch.randn(2, 4, 3, dtype=torch.float64)
    alpha_bar = schedule.alpha_bar[t]
    x_t = q_sample(x0, eps, alpha_bar)

    def network(x_t, steps):
        exact = target_of(target, x0, eps_from_x0(x0, x_t, alpha_bar), alpha_bar)
        return torch.cat([exact, torch.full_like(exact, -1.0)], dim=1)

    prediction = denoiser(network, target, schedule)(x_t, t)
    assert variational_term(prediction, x0, torch.full((4,), t), schedule).abs().max() < 1e-6


def test_the_term_is_the_kl_of_two_normal_laws():
    schedule, t = Schedule("linear"), 400
    x0, x0_hat = torch.tensor([[0.5]]).double(), torch.tensor([[0.2]]).double()
    a, before = (float(schedule.alpha_bar[k]) for k in (t, t - 1))
    step, f = posterior(a, before), 0.3
    variance = (1 - a / before) ** f * step.variance ** (1 - f)
    q, p = (
        torch.distributions.Normal(torch.tensor(m).double(), torch.tensor(v**0.5).double())
        for m, v in ((step.weight_x0 * 0.5, step.variance), (step.weight_x0 * 0.2, variance))
    )
    prediction = Prediction(x0_hat, x0_hat, torch.full((1, 1), f, dtype=torch.float64))
    made = variational_term(prediction, x0, torch.tensor([t]), schedule).item()
    assert made == pytest.approx(torch.distributions.kl_divergence(q, p).item(), rel=1e-6)


def test_the_term_trains_the_variance_and_not_the_mean():
    schedule = Schedule("cosine")
    x0_hat = torch.zeros(2, 3, requires_grad=True)
    fraction = torch.full((2, 3), 0.5, requires_grad=True)
    prediction = Prediction(x0_hat, x0_hat, fraction)
    variational_term(prediction, torch.ones(2, 3), torch.tensor([0, 7]), schedule).sum().backward()
    assert x0_hat.grad is None
    assert fraction.grad.abs().min() > 0
    assert torch.isfinite(fraction.grad).all()
