"""Checks at the border: what comes in is a float64 table, or the caller hears why not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dalle2eval.records import InputError

Floats = NDArray[np.float64]
Rows = NDArray[np.float64] | NDArray[np.float32]  # features in the precision that they came in

# Sixth powers of features (KID), added up over pairs of images, stay below what a float64 holds,
# and their products below what a float32 holds.
LARGEST, LARGEST_SINGLE = 1e45, 1e15


def as_features(features: ArrayLike, role: str = "features") -> Floats:
    """Return features as float64 [n, d], n >= 1 and d >= 1, all finite.

    Args:
        features: anything that numpy turns into a table of numbers.
        role: what the table is, for the message, such as ``generated``.

    Raises:
        InputError: it is no [n, d] table, is empty, or holds NaN, infinity or what overflows.
    """
    return as_rows(features, role).astype(np.float64, copy=False)


def as_rows(features: ArrayLike, role: str = "features") -> Rows:
    """Return features as `as_features` does, but float32 as it is: ten thousand rows are 80 MB.

    Raises:
        InputError: as `as_features`.
    """
    try:
        table: NDArray[Any] = np.asarray(features)
        if table.dtype.kind == "c":  # numpy would drop the imaginary part with a warning
            raise TypeError
        table = table if table.dtype == np.float32 else table.astype(np.float64, copy=False)
    except (TypeError, ValueError):
        raise InputError(f"{role}: expected a table of numbers [n, d]") from None
    if table.ndim != 2 or 0 in table.shape:  # noqa: PLR2004
        raise InputError(f"{role}: expected features [n, d], got shape {list(table.shape)}")
    _require_numbers_in_reach(table, role)
    return table


def _require_numbers_in_reach(table: Rows, role: str) -> None:
    """Refuse NaN, infinity and what overflows in products, by the row that holds it."""
    limit = LARGEST_SINGLE if table.dtype == np.float32 else LARGEST
    # The extremes need no table of their own; the search for the row does. NaN fails both.
    if -limit <= table.min() and table.max() <= limit:
        return
    row = int(np.flatnonzero(~(np.abs(table) <= limit).all(axis=1))[0])
    if not np.isfinite(table[row]).all():
        raise InputError(f"{role}: row {row} is not finite; leave unscored images out")
    raise InputError(
        f"{role}: row {row} is too large: {np.abs(table[row]).max():.3g}, at most {limit:g} "
        f"in {table.dtype}"
    )


def as_feature_pair(generated: ArrayLike, reference: ArrayLike) -> tuple[Floats, Floats]:
    """Return (generated, reference) as float64 tables of one width.

    Raises:
        InputError: one of them is no table, or their widths differ.
    """
    x, y = as_row_pair(generated, reference)
    return x.astype(np.float64, copy=False), y.astype(np.float64, copy=False)


def as_row_pair(generated: ArrayLike, reference: ArrayLike) -> tuple[Rows, Rows]:
    """Return (generated, reference) as `as_rows`, of one width.

    Raises:
        InputError: one of them is no table, or their widths differ.
    """
    x, y = as_rows(generated, "generated"), as_rows(reference, "reference")
    if x.shape[1] != y.shape[1]:
        raise InputError(
            f"generated features are {x.shape[1]} wide, reference features {y.shape[1]}: "
            "both must come from one extractor"
        )
    return x, y


def centred(features: Floats, origin: Floats, given: Sequence[ArrayLike]) -> Rows:
    """Return rows less an origin, ready for products: float32 where all that was given is.

    Networks give float32, and products of float32 take half the time. Taken about a common origin
    and added up in float64 their rounding averages out over the pairs: KID moves by 1e-8.
    """
    rows = np.asarray(features - origin)
    single = all(getattr(table, "dtype", None) == np.float32 for table in given)
    return rows.astype(np.float32) if single else rows


def require_rows(features: Rows, minimum: int, role: str) -> None:
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


def squared_distances(x: Rows, y: Rows) -> Floats:
    """Return |xᵢ - yⱼ|² [n, m] of rows [n, d] and [m, d], never below 0."""
    squared = np.asarray(x @ y.T, dtype=np.float64)
    squared *= -2.0
    squared += _squared_lengths(x)[:, None]
    squared += _squared_lengths(y)
    return np.maximum(squared, 0.0, out=squared)


def _squared_lengths(rows: Rows) -> Floats:
    wide = rows.astype(np.float64, copy=False)
    return np.asarray(np.einsum("nd,nd->n", wide, wide))
