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
    *,
    interval: tuple[int, int] | None = None,
    rescale: float = 0.0,
) -> Network:
    """Close a conditional network over its conditions and guidance scale.

    Only the target is guided: a learned variance (an output with twice the channels of x_t) is the
    conditional's.

    Args:
        network: (x_t, t, *conditions) -> output.
        conditions: each [b, ...], one row a sample.
        nulls: the "no condition" of each, in the same shapes.
        scale: guidance scale, 1 = off.
        interval: timesteps (first, last) within which guidance is on; outside, the null half is not
            computed (Kynkäänniemi et al. 2024, arXiv 2404.07724).
        rescale: share of the guided output that is brought back to the conditional's deviation (Lin
            et al. 2023, arXiv 2305.08891, §3.4; they advise 0.7), 0 = off.
    """
    if scale == 1:
        return lambda x_t, t: network(x_t, t, *conditions)
    both = tuple(torch.cat(pair) for pair in zip(conditions, nulls, strict=True))

    def guided(x_t: Tensor, t: Tensor) -> Tensor:
        if interval is not None and not interval[0] <= int(t[0]) <= interval[1]:
            return network(x_t, t, *conditions)
        doubled = x_t.repeat(2, *[1] * (x_t.ndim - 1))
        conditional, null = network(doubled, t.repeat(2), *both).chunk(2)
        channels = x_t.shape[1]
        target = conditional[:, :channels]
        mixed = null[:, :channels] + scale * (target - null[:, :channels])
        if rescale:
            mixed = rescale * rescaled(mixed, target) + (1 - rescale) * mixed
        return torch.cat([mixed, conditional[:, channels:]], dim=1)

    return guided


def rescaled(guided: Tensor, conditional: Tensor) -> Tensor:
    """Return ``guided`` with each sample's deviation of ``conditional`` (Lin et al., Eq. 15)."""
    dims = tuple(range(1, guided.ndim))
    std, wanted = (x.std(dim=dims, keepdim=True) for x in (guided, conditional))
    return guided * (wanted / std)
