"""The U-Net's faster layers are the functions that they stand for."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from reference_model.layers import WORTH_FOLDING, conv_of_enlarged, scaled_norm, silu


def random(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def filled(module):
    for k, parameter in enumerate(module.parameters()):
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(k))
    return module


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("rows", [1, 3])
def test_a_scaled_norm_mixes_no_samples_and_scales_after_the_norm(layout, rows):
    norm = filled(nn.GroupNorm(4, 8))
    x = (10 * random(3, 8, 5, 6) + 3).to(memory_format=layout)
    scale, shift = random(rows, 8, seed=1), random(rows, 8, seed=2)
    expected = norm(x) * (1 + scale[:, :, None, None]) + shift[:, :, None, None]
    assert torch.allclose(scaled_norm(norm, x, scale, shift), expected, atol=1e-5)


def test_a_scaled_norm_teaches_what_its_definition_teaches():
    norm, x = filled(nn.GroupNorm(2, 4)), random(3, 4, 5, 5)
    gradients = []
    for fused in (True, False):
        leaves = [x.clone(), random(3, 4, seed=1), random(3, 4, seed=2)]
        for leaf in leaves:
            leaf.requires_grad_()
        a, scale, shift = leaves
        made = (
            scaled_norm(norm, a, scale, shift)
            if fused
            else norm(a) * (1 + scale[:, :, None, None]) + shift[:, :, None, None]
        )
        gradients.append(torch.autograd.grad((made**3).sum(), [*leaves, norm.weight, norm.bias]))
    for ours, theirs in zip(*gradients, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (15, 17), (1, 260), (16, 17), (32, 32)])
def test_a_convolution_of_an_enlarged_picture_is_exact_up_to_its_borders(size):
    conv, x = (
        filled(nn.Conv2d(3, 5, 3, padding=1).double()),
        random(2, 3, *size, dtype=torch.float64),
    )
    expected = conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))
    with torch.no_grad():
        made = conv_of_enlarged(conv, x)
    assert torch.equal(made, expected) is (size[0] * size[1] < WORTH_FOLDING)  # the definition
    assert made.shape == expected.shape
    assert torch.allclose(made, expected, atol=1e-12)


def test_only_sampling_overwrites_what_an_activation_was_given():
    x = random(3, 4)
    expected = functional.silu(x)
    learned = x.clone().requires_grad_()
    silu(learned * 1).sum().backward()
    assert learned.grad is not None
    with torch.inference_mode():
        own = x.clone()
        assert torch.equal(silu(own), expected)
        assert torch.equal(own, expected)
