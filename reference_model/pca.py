"""Principal components of image embeddings z_i (paper §2.2 and §4.1, Fig. 7).

CLIP's embeddings lie close to a low-dimensional space: of 1,024 components the paper keeps 319. The
autoregressive prior predicts them one by one; a picture decoded from the first few shows what they
hold.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Pca(NamedTuple):
    """Mean [d], orthonormal components [k, d] by falling variance, and these variances [k]."""

    mean: Tensor
    components: Tensor
    variances: Tensor

    def project(self, z_i: Tensor) -> Tensor:
        """Return the coefficients [n, k] of embeddings [n, d]."""
        return (z_i - self.mean) @ self.components.T

    def restore(self, coefficients: Tensor) -> Tensor:
        """Return embeddings [n, d] of coefficients [n, k'], k' <= k; the others count as 0."""
        return self.mean + coefficients @ self.components[: coefficients.shape[1]]


def fit_pca(z_i: Tensor, *, energy: float = 1.0) -> Pca:
    """Return the fewest components that keep a share of the variance.

    Args:
        z_i: embeddings [n, d].
        energy: share of the variance about the mean that is kept, in (0, 1]; with 1 every component
            is kept, min(n, d) of them, also those of no variance.

    Raises:
        ValueError: energy is out of range, or there are fewer than two embeddings.
    """
    if not 0 < energy <= 1 or len(z_i) < 2:  # noqa: PLR2004
        raise ValueError(
            f"energy is {energy}, embeddings {len(z_i)}; allowed: (0, 1] and at least 2"
        )
    mean = z_i.double().mean(dim=0)
    _, singular, components = torch.linalg.svd(z_i.double() - mean, full_matrices=False)
    variances = singular**2 / (len(z_i) - 1)
    kept = variances.cumsum(0) / variances.sum()
    k = len(variances) if energy == 1 else int((kept < energy).sum()) + 1
    return Pca(mean.float(), components[:k].float(), variances[:k].float())


def reconstruct(pca: Pca, z_i: Tensor, num_components: int) -> Tensor:
    """Return unit-length z_i [n, d] rebuilt from their first components (Fig. 7)."""
    coefficients = pca.project(z_i)[:, :num_components]
    return functional.normalize(pca.restore(coefficients), dim=-1)
