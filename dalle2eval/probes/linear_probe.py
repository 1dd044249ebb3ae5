"""A linear probe: can a hyperplane read a yes or no off embeddings?

Ridge regression of labels ±1 on standardised embeddings (Hoerl and Kennard 1970), in closed form.
What it gets right on pictures that it was not fitted on is a lower bound on what the embedding
holds: a property may be there and not be linear.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RIDGE = 10.0  # on standardised features; more than the fit's noise, less than a clear signal
Rows = NDArray[np.floating]


@dataclass(frozen=True, slots=True, eq=False)
class Hyperplane:
    """A fitted probe: its normal [d], and mean and scale [d] of the embeddings."""

    normal: NDArray[np.float64]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    def says(self, rows: Rows) -> NDArray[np.bool_]:
        """Return yes or no for each row [n, d]."""
        answers: NDArray[np.bool_] = ((rows - self.mean) / self.scale) @ self.normal > 0
        return answers


def fit(yes: Rows, no: Rows, *, ridge: float = RIDGE) -> Hyperplane:
    """Return the probe that tells two sets of embeddings apart.

    Args:
        yes: [n, d].
        no: [n, d], as many, so that the hyperplane needs no offset.
        ridge: penalty on the squared normal.
    """
    if len(yes) != len(no):
        raise ValueError(f"{len(yes)} rows against {len(no)}; a probe is fitted on equal numbers")
    rows = np.concatenate([yes, no]).astype(np.float64)
    labels = np.repeat([1.0, -1.0], len(yes))
    mean, scale = rows.mean(axis=0), rows.std(axis=0)
    scale = np.where(scale > 1e-12, scale, 1.0)  # noqa: PLR2004  (a constant says nothing)
    x = (rows - mean) / scale
    # (XᵀX + λ)⁻¹Xᵀy = Xᵀ(XXᵀ + λ)⁻¹y: the system is of the pictures, not of the dimensions.
    normal = x.T @ np.linalg.solve(x @ x.T + ridge * np.eye(len(x)), labels)
    return Hyperplane(normal, mean, scale)
