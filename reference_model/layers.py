"""Layers of the U-Net with fewer products, or fewer passes over memory, than their definitions.

They are the same functions up to rounding, and their definitions stand beside them where they do
not apply. What each is worth: benchmarks/sampling.py and docs/notebook.md.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

WORTH_FOLDING = 256  # pixels of a picture; for fewer, adding the weights costs what it saves


def scaled_norm(norm: nn.GroupNorm, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Return norm(x) (1 + scale) + shift, ADM's AdaGN, in one pass over x.

    Samples are laid side by side as the channels of one picture. There each has its own groups, and
    its scale and shift become part of the norm's own weight and bias.

    Args:
        norm: with weight and bias.
        x: [b, c, h, w].
        scale: [b, c], or [1, c] for all samples.
        shift: shaped like scale.
    """
    gain = 1 + scale
    if not x.is_contiguous():  # channels_last cannot be laid so without a copy
        return norm(x) * gain[:, :, None, None] + shift[:, :, None, None]
    b, c, h, w = x.shape
    weight = (norm.weight * gain).expand(b, c).reshape(-1)
    bias = (norm.bias * gain + shift).expand(b, c).reshape(-1)
    flat = x.view(1, b * c, h, w)
    return functional.group_norm(flat, b * norm.num_groups, weight, bias, norm.eps).view_as(x)


def conv_of_enlarged(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Return the 3 x 3 convolution of x [b, c, h, w] enlarged twice by nearest neighbours.

    Nine products for each output meet four pixels of x, so weights that meet the same pixel are
    added first: four 2 x 2 convolutions of x, one for each place in a 2 x 2 cell, are the same
    picture by 4 products an output.
    """
    b, _, h, w = x.shape
    few = h * w < WORTH_FOLDING  # not of the batch, for a picture's bits must not depend on it
    if few or torch.is_grad_enabled() or x.device.type != "cpu":
        return conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))
    out = len(conv.weight)
    bias = None if conv.bias is None else conv.bias.repeat(4)
    cells = functional.conv2d(x, _folded(conv.weight), bias, padding=1)
    cells = cells.view(b, 2, 2, out, h + 1, w + 1)
    large = x.new_empty(b, out, h, 2, w, 2)
    for i in range(2):
        for j in range(2):
            large[:, :, :, i, :, j] = cells[:, i, j, :, i : i + h, j : j + w]
    return large.view(b, out, 2 * h, 2 * w)


def _folded(weight: Tensor) -> Tensor:
    """Return the four kernels [4 o, c, 2, 2] of a weight [o, c, 3, 3]: above left, above right, ...

    Along one axis the place 0 reads the pixel before by weight 0 and its own by 1 + 2; the place 1
    reads its own by 0 + 1 and the next by 2.
    """
    axis = weight.new_tensor([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]])  # place, pixel, tap
    fold = torch.einsum("ipk,jql->klijpq", axis, axis).reshape(9, 16)
    out, channels = weight.shape[:2]
    kernels = (weight.reshape(-1, 9) @ fold).view(out, channels, 4, 2, 2)
    return kernels.permute(2, 0, 1, 3, 4).reshape(4 * out, channels, 2, 2)


def silu(x: Tensor) -> Tensor:
    """Return SiLU of a tensor that nobody else reads; in place where nothing is learned."""
    return functional.silu(x, inplace=not torch.is_grad_enabled())
