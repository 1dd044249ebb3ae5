"""Checks at the border: what comes in is a float64 table, or the caller hears why not."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dalle2eval.records import InputError

Floats = NDArray[np.float64]


def as_features(features: ArrayLike, role: str = "features") -> Floats:
    """Return features as float64 [n, d], n >= 1 and d >= 1, all finite.

    Args:
        features: anything that numpy turns into a table of numbers.
        role: what the table is, for the message, such as ``generated``.

    Raises:
        InputError: it is no [n, d] table, is empty, or holds NaN or infinity.
    """
    try:
        table: NDArray[Any] = np.asarray(features, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{role}: expected a table of numbers [n, d]") from None
    if table.ndim != 2 or 0 in table.shape:  # noqa: PLR2004
        raise InputError(f"{role}: expected features [n, d], got shape {list(table.shape)}")
    if not np.isfinite(table).all():
        row = int(np.flatnonzero(~np.isfinite(table).all(axis=1))[0])
        raise InputError(f"{role}: row {row} is not finite; leave unscored images out")
    return table


def as_feature_pair(generated: ArrayLike, reference: ArrayLike) -> tuple[Floats, Floats]:
    """Return (generated, reference) as float64 tables of one width.

    Raises:
        InputError: one of them is no table, or their widths differ.
    """
    x, y = as_features(generated, "generated"), as_features(reference, "reference")
    if x.shape[1] != y.shape[1]:
        raise InputError(
            f"generated features are {x.shape[1]} wide, reference features {y.shape[1]}: "
            "both must come from one extractor"
        )
    return x, y


def require_rows(features: Floats, minimum: int, role: str) -> None:
    """Refuse a table of fewer than ``minimum`` rows.

    Raises:
        InputError: there are too few.
    """
    if len(features) < minimum:
        raise InputError(f"{role}: needs at least {minimum} images, got {len(features)}")


def unit_rows(features: Floats, role: str = "features") -> Floats:
    """Return rows scaled to length 1, for cosine similarities.

    Raises:
        InputError: a row is all zeros, so it has no direction.
    """
    lengths = np.linalg.norm(features, axis=1)
    if not lengths.all():
        raise InputError(f"{role}: row {int(np.argmin(lengths))} is all zeros and has no direction")
    return np.asarray(features / lengths[:, None])
