"""Guidance and thresholds against closed forms."""

import math

import pytest
import torch

from reference_model.diffusion.gradient_guidance import (
    classifier_guided,
    clip_guided,
    target_log_probability,
)
from reference_model.diffusion.guidance import classifier_free
from reference_model.diffusion.samplers import ddim
from reference_model.diffusion.schedule import Schedule
from reference_model.diffusion.targets import Prediction, denoiser, eps_from_x0
from reference_model.diffusion.thresholding import dynamic, static
from reference_model.timesteps import strided

CONDITION, NULL = torch.ones(2, 3, 1, 1), torch.zeros(2, 3, 1, 1)
X_T, T = torch.zeros(2, 3, 4, 4), torch.full((2,), 500)


def test_guidance_never_touches_the_learned_variance():
    """Defect D4 of DALLE2-pytorch: the variance channels are extrapolated too."""

    def network(x_t, t, c):
        c = c.expand_as(x_t)
        return torch.cat([2 * c + 1, 0.5 * c], dim=1)

    output = classifier_free(network, (CONDITION,), (NULL,), 3.0)(X_T, T)
    assert torch.equal(output[:, :3], torch.full((2, 3, 4, 4), 7.0))
    assert torch.equal(output[:, 3:], torch.full((2, 3, 4, 4), 0.5))


def test_outside_its_interval_guidance_is_bit_for_bit_off_and_costs_one_pass():
    sizes = []

    def network(x_t, t, c):
        sizes.append(len(x_t))
        return x_t + c

    guided = classifier_free(network, (CONDITION,), (NULL,), 3.0, interval=(200, 400))
    assert torch.equal(guided(X_T, T), X_T + CONDITION)
    assert torch.equal(guided(X_T, torch.full((2,), 400)), X_T + 3 * CONDITION)
    assert sizes == [2, 4]


def test_a_full_rescale_gives_each_sample_the_conditionals_deviation():
    source = torch.Generator().manual_seed(0)
    fixed = torch.randn(4, 3, 4, 4, generator=source)

    def network(x_t, t, c):
        return fixed * c

    full, off = (
        classifier_free(network, (2 * CONDITION,), (CONDITION,), 5.0, rescale=share)(X_T, T)
        for share in (1.0, 0.0)
    )
    assert torch.allclose(full.std(dim=(1, 2, 3)), 2 * fixed[:2].std(dim=(1, 2, 3)))
    assert not torch.allclose(off, full)


def test_static_and_dynamic_thresholds_agree_within_the_range():
    x0_hat = torch.linspace(-0.9, 0.9, 24).view(2, 3, 2, 2)
    assert torch.equal(static()(x0_hat), x0_hat)
    assert torch.equal(dynamic()(x0_hat), x0_hat)


def test_a_dynamic_threshold_is_not_a_static_clamp():
    """diffusers' default for it (sample_max_value 1) silently is one."""
    saturated = torch.linspace(-4, 4, 1000).view(1, 1, 25, 40)
    made = dynamic(0.5)(saturated)
    assert made.abs().max() == 1
    inside = saturated.abs() < 1.9
    assert torch.allclose(made[inside], saturated[inside] / 2.0, atol=5e-3)
    assert not torch.allclose(static()(saturated), made)


def test_a_dynamic_threshold_judges_each_picture_alone():
    calm, wild = torch.full((1, 1, 4, 4), 0.5), torch.full((1, 1, 4, 4), 5.0)
    made = dynamic()(torch.cat([calm, wild]))
    assert torch.equal(made[:1], calm)
    assert torch.allclose(made[1:], torch.ones(1, 1, 4, 4))


def test_a_bounded_prediction_still_explains_x_t():
    schedule = Schedule("cosine")
    x_t = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    denoise = denoiser(lambda x, t: 9 * x, "x0", schedule, threshold=dynamic())
    x0_hat, eps_hat, _ = denoise(x_t, 300)
    a = schedule.alpha_bar[300]
    assert torch.allclose(a.sqrt() * x0_hat + (1 - a).sqrt() * eps_hat, x_t)


def two_classes(schedule):
    """Unit-variance-free world: x0 is -1 or +1 (std 0.2); its denoiser and its classifier."""
    std, means = 0.2, torch.tensor([-1.0, 1.0], dtype=torch.float64)

    def logits(x_t, t):
        a = schedule.at(t, x_t)
        return -((x_t - a.sqrt() * means) ** 2) / (2 * (a * std**2 + 1 - a))

    def network(x_t, t):
        a = schedule.at(t, x_t)
        gain = a.sqrt() * std**2 / (a * std**2 + 1 - a)
        each = means + gain * (x_t - a.sqrt() * means)
        return (logits(x_t, t).softmax(dim=1) * each).sum(1, keepdim=True)

    return denoiser(network, "x0", schedule), logits


@pytest.mark.parametrize("name", ["cosine", "linear"])
def test_the_exact_classifiers_gradient_turns_the_mixture_into_one_class(name):
    schedule = Schedule(name)
    denoise, logits = two_classes(schedule)
    labels = torch.ones(600, dtype=torch.int64)

    def log_likelihood(x_t, t):
        return target_log_probability(logits(x_t, t), labels)

    x_T = torch.randn(600, 1, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    steps = strided(1000, 100)
    free = ddim(
        classifier_guided(denoise, log_likelihood, schedule, 0.0), schedule, x_T, steps=steps
    )
    with torch.inference_mode():  # as the stack samples
        guided = classifier_guided(denoise, log_likelihood, schedule, 1.0)
        made = ddim(guided, schedule, x_T, steps=steps)
    assert (free > 0).double().mean().item() == pytest.approx(0.5, abs=0.08)
    assert (made > 0).double().mean().item() > 0.99
    assert made.mean().item() == pytest.approx(1.0, abs=0.03)
    assert made.std().item() == pytest.approx(0.2, rel=0.2)


def test_clip_guidance_raises_the_product_with_the_text_and_zero_is_off():
    schedule = Schedule("cosine")
    source = torch.Generator().manual_seed(0)
    matrix = torch.randn(12, 5, generator=source, dtype=torch.float64)

    def encode(images):
        return torch.nn.functional.normalize(images.flatten(1) @ matrix, dim=-1)

    z_t = torch.nn.functional.normalize(
        torch.randn(6, 5, generator=source, dtype=torch.float64), dim=-1
    )

    def denoise(x_t, t):
        x0_hat = 0.3 * torch.tanh(x_t)
        return Prediction(x0_hat, eps_from_x0(x0_hat, x_t, schedule.alpha_bar[t]))

    x_T = torch.randn(6, 3, 2, 2, generator=source, dtype=torch.float64)
    products = []
    for scale in (0.0, 0.1, 1.0):
        with torch.inference_mode():
            guided = clip_guided(denoise, encode, z_t, schedule, scale)
            made = ddim(guided, schedule, x_T, steps=20)
        products.append((encode(made) * z_t).sum(-1).mean().item())
    plain = ddim(denoise, schedule, x_T, steps=20)
    assert products[0] == pytest.approx((encode(plain) * z_t).sum(-1).mean().item(), abs=1e-12)
    assert products[0] < products[1] < products[2]
    assert math.isfinite(products[2])
