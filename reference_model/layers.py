"""Layers of the U-Net with fewer products, or fewer passes over memory, than their definitions.

They are the same functions up to rounding, and their definitions stand beside them where they do
not apply. What each is worth: benchmarks/sampling.py and docs/notebook.md.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


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
    """Return the 3 x 3 convolution of x enlarged twice by nearest neighbours, padded by 1.

    Four of nine products of each output share a pixel of x, or two do, so their weights can be
    added first: a transposed convolution with a 4 x 4 kernel and stride 2 makes the same picture
    with 4 products where the definition takes 9.
    """
    if torch.is_grad_enabled() or x.device.type != "cpu":
        return conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))
    kernel = _folded(conv.weight)
    return functional.conv_transpose2d(x, kernel, conv.bias, stride=2, padding=1)


def _folded(weight: Tensor) -> Tensor:
    """Return the transposed convolution's kernel [c, o, 4, 4] of a weight [o, c, 3, 3].

    Enlarging is itself a transposed convolution, by 2 x 2 ones; this is that of both together.
    """
    turned = functional.pad(weight.flip(2, 3).transpose(0, 1), (1, 1, 1, 1))
    rows = turned[:, :, :-1] + turned[:, :, 1:]
    return rows[:, :, :, :-1] + rows[:, :, :, 1:]


def silu(x: Tensor) -> Tensor:
    """Return SiLU of a tensor that nobody else reads; in place where nothing is learned."""
    return functional.silu(x, inplace=not torch.is_grad_enabled())
