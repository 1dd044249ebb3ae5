"""The noise-aware classifier and the autoencoder family, trained for a moment on toys."""

import pytest
import torch

from reference_model.autoencoders import Autoencoder, AutoencoderConfig
from reference_model.classifier import NoisyClassifier, classifier_loss
from reference_model.config import UnetConfig
from reference_model.diffusion.gradient_guidance import classifier_guided
from reference_model.diffusion.samplers import ddim
from reference_model.diffusion.schedule import Schedule
from reference_model.diffusion.targets import denoiser
from reference_model.variant_config import ClassifierConfig

UNET = UnetConfig(patch=2, channels=8, multipliers=(1, 2), depth=1)


def bright_or_dark(n, source):
    """Class 1 is bright, class 0 dark; each with its own structure."""
    labels = torch.randint(2, (n,), generator=source)
    level = (labels.float() * 2 - 1).view(-1, 1, 1, 1)
    return 0.6 * level + 0.1 * torch.randn(n, 3, 8, 8, generator=source), labels


def test_a_classifier_learns_through_noise_and_leads_sampling_to_its_class():
    torch.manual_seed(0)
    source, schedule = torch.Generator().manual_seed(0), Schedule("cosine")
    classifier = NoisyClassifier(ClassifierConfig(unet=UNET, classes=("dark", "bright")))
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=3e-3)
    for _ in range(40):
        optimizer.zero_grad()
        classifier_loss(classifier, schedule, bright_or_dark(32, source), source).backward()
        optimizer.step()
    classifier.eval().requires_grad_(requires_grad=False)

    def network(x_t, t):
        """The exact denoiser of both classes' mixture, were each a point at +-0.6."""
        a = schedule.at(t, x_t)
        evidence = (0.6 * a.sqrt() * x_t / (1 - a)).sum(dim=(1, 2, 3), keepdim=True)
        return 0.6 * torch.tanh(evidence).expand_as(x_t)

    x_T = torch.randn(32, 3, 8, 8, generator=source)
    denoise, labels = denoiser(network, "x0", schedule), torch.ones(32, dtype=torch.int64)
    shares = []
    with torch.inference_mode():
        for scale in (0.0, 3.0):
            likely = classifier.log_likelihood(labels)
            guided = classifier_guided(denoise, likely, schedule, scale)
            made = ddim(guided, schedule, x_T, steps=20)
            shares.append((made.mean(dim=(1, 2, 3)) > 0).float().mean().item())
    assert 0.2 < shares[0] < 0.8
    assert shares[1] > shares[0] + 0.1


KINDS = ("ae", "dae", "mae", "vae", "vq-vae")


def stripes(n, source):
    """Pictures of one number: the place of a bright edge."""
    place = torch.randint(2, 15, (n, 1, 1, 1), generator=source)
    return torch.where(torch.arange(16).view(1, 1, 1, 16) < place, 0.8, -0.8).expand(n, 3, 16, 16)


def trained(kind, steps=60):
    torch.manual_seed(0)
    source = torch.Generator().manual_seed(0)
    model = Autoencoder(AutoencoderConfig(kind=kind, image_size=16, channels=8, code_width=8,
                                          codebook_size=16))  # fmt: skip
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    first = model.loss(stripes(64, source), source).item()
    for _ in range(steps):
        optimizer.zero_grad()
        loss = model.loss(stripes(32, source), source)
        loss.backward()
        optimizer.step()
    return model.eval(), first, loss.item(), source


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns_and_samples_what_it_can(kind):
    model, first, last, source = trained(kind)
    # Discrete codes learn slower, and their penalty is part of the loss.
    assert last < (0.97 if kind == "vq-vae" else 0.6) * first
    if kind == "mae":
        with pytest.raises(ValueError, match="nothing to sample"):
            model.sample(2, source)
        return
    model.fit_sampler(stripes(200, source))
    made = model.sample(8, torch.Generator().manual_seed(5))
    again = model.sample(8, torch.Generator().manual_seed(5))
    assert made.shape == (8, 3, 16, 16)
    assert torch.equal(made, again)
    # New pictures have the data's mean brightness on the left and on the right.
    real = stripes(500, source)
    for columns in (slice(0, 3), slice(13, 16)):
        assert abs(made[..., columns].mean() - real[..., columns].mean()) < 0.5


def test_a_mask_hides_the_same_share_of_every_picture():
    model = Autoencoder(AutoencoderConfig(kind="mae", image_size=32, hidden_share=0.75))
    mask = model.hidden(5, torch.Generator().manual_seed(0))
    assert mask.shape == (5, 1, 32, 32)
    assert (mask.mean(dim=(1, 2, 3)) == 0.75).all()


def test_a_straight_through_gradient_reaches_the_encoder_of_discrete_codes():
    model = Autoencoder(AutoencoderConfig(kind="vq-vae", image_size=16, channels=8, code_width=8))
    model.decode(model.encode(torch.rand(2, 3, 16, 16)).code).sum().backward()
    assert model.encoder[0].weight.grad.abs().sum() > 0
    assert model.codebook.weight.grad is None
