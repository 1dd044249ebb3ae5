"""The Imagen-style base model: what it reads, and that guidance stays in range."""

import pytest
import torch

from reference_model.clip import TextEncoding
from reference_model.config import UnetConfig
from reference_model.imagen import Imagen
from reference_model.variant_config import ImagenConfig

UNET = UnetConfig(
    patch=2, channels=8, multipliers=(1, 2), depth=1, attention_levels=(1,), head_channels=8,
    context_width=16, vector_width=16, learned_variance=True,
)  # fmt: skip


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    made = Imagen(ImagenConfig(image_size=16, pooled_width=6, text_width=10, unet=UNET))
    for parameter in made.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.2)
    return made.eval().requires_grad_(requires_grad=False)


def text(n=2, seed=0, length=5, real=3):
    source = torch.Generator().manual_seed(seed)
    mask = (torch.arange(length) < real)[None].expand(n, -1)
    states = torch.randn(n, length, 10, generator=source)
    return TextEncoding(torch.randn(n, 6, generator=source), states, mask)


KEYS = [("a", 0), ("b", 0)]


@pytest.mark.parametrize("sampler", ["ddim", "ddpm-learned", "dpm-solver++2m", "heun"])
def test_strong_guidance_stays_in_the_pictures_range(model, sampler):
    made = model.sample(text(), KEYS, steps=4, guidance_scale=15.0, sampler=sampler)
    assert made.shape == (2, 3, 16, 16)
    assert made.abs().max() <= 1


def test_padding_changes_nothing_and_words_do(model):
    given = text()
    padded = given._replace(states=torch.where(given.mask[..., None], given.states, 7.0))
    other = text(seed=1)
    made = [model.sample(t, KEYS, steps=3, guidance_scale=2.0) for t in (given, padded, other)]
    assert torch.allclose(made[0], made[1], atol=1e-5)
    assert not torch.allclose(made[0], made[2], atol=1e-3)


def test_the_null_condition_knows_nothing_of_the_text(model):
    x_t, t = torch.randn(2, 3, 16, 16), torch.tensor([10, 900])
    unknown = torch.zeros(2, dtype=torch.bool)
    outputs = [
        model(x_t, t, *model.condition(encoding, unknown)) for encoding in (text(), text(seed=1))
    ]
    assert torch.allclose(*outputs, atol=1e-6)


def test_a_picture_does_not_depend_on_its_batch(model):
    both = text()
    one = TextEncoding(*(part[1:] for part in both))
    together = model.sample(both, KEYS, steps=3, guidance_scale=3.0)
    alone = model.sample(one, KEYS[1:], steps=3, guidance_scale=3.0)
    assert torch.allclose(together[1:], alone, atol=1e-5)
