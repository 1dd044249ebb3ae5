"""What to do with an x0_hat outside the data's range, which strong guidance makes.

Saharia et al. 2022 (arXiv 2205.11487, §2.3): static clamps; dynamic scales a saturated picture back
into the range, picture by picture.
"""

from __future__ import annotations

import torch
from torch import Tensor

from reference_model.diffusion.targets import Threshold
from reference_model.variant_config import PERCENTILE


def static(limit: float = 1.0) -> Threshold:
    """Return a clamp of x0_hat to [-limit, limit]."""
    return lambda x0_hat: x0_hat.clamp(-limit, limit)


def unbounded() -> Threshold:
    """Return what leaves x0_hat as it is: guidance then carries it out of the data's range."""
    return lambda x0_hat: x0_hat


def dynamic(percentile: float = PERCENTILE, *, limit: float = 1.0) -> Threshold:
    """Return dynamic thresholding: clamp to the percentile s of |x0_hat| and divide by s / limit.

    s is at least ``limit``, so that a picture within the range is left as it is.

    Args:
        percentile: share of a picture's entries that are not clamped, in (0, 1].
        limit: the data's range.
    """

    def threshold(x0_hat: Tensor) -> Tensor:
        s = torch.quantile(x0_hat.flatten(1).abs().float(), percentile, dim=1)
        s = s.clamp(min=limit).to(x0_hat.dtype).view(-1, *[1] * (x0_hat.ndim - 1))
        return x0_hat.clamp(-s, s) * (limit / s)

    return threshold
