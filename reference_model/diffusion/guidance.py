"""Classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598) in one batched network call.

guided = null + s (conditional - null). s = 1 is off, and then the null half is not computed, so
that scale 1 is bit for bit the unguided network. The paper's w is s - 1.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from reference_model.diffusion.targets import Network


def classifier_free(
    network: Callable[..., Tensor],
    conditions: tuple[Tensor, ...],
    nulls: tuple[Tensor, ...],
    scale: float,
) -> Network:
    """Close a conditional network over its conditions and guidance scale.

    Args:
        network: (x_t, t, *conditions) -> output.
        conditions: each [b, ...], one row a sample.
        nulls: the "no condition" of each, in the same shapes.
        scale: guidance scale, 1 = off.
    """
    if scale == 1:
        return lambda x_t, t: network(x_t, t, *conditions)
    both = tuple(torch.cat(pair) for pair in zip(conditions, nulls, strict=True))

    def guided(x_t: Tensor, t: Tensor) -> Tensor:
        doubled = x_t.repeat(2, *[1] * (x_t.ndim - 1))
        conditional, null = network(doubled, t.repeat(2), *both).chunk(2)
        return null + scale * (conditional - null)

    return guided
