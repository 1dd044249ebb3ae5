"""Corrections for asking many questions at once: Holm to gate, Benjamini-Hochberg to explore."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dalle2eval.metrics.arrays import Floats
from dalle2eval.records import InputError


def holm(p_values: Sequence[float]) -> Floats:
    """Return adjusted p-values [n] that bound the chance of any false alarm (Holm 1979).

    Raises:
        InputError: a p-value lies outside [0, 1].

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p = _checked(p_values)
    order = np.argsort(p, kind="stable")
    factors = np.arange(len(p), 0, -1)
    return _restored(np.maximum.accumulate(p[order] * factors), order)


def benjamini_hochberg(p_values: Sequence[float]) -> Floats:
    """Return adjusted p-values [n] that bound the share of false alarms (Benjamini, Hochberg 1995).

    Raises:
        InputError: a p-value lies outside [0, 1].

    >>> benjamini_hochberg([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.04, 0.04]
    """
    p = _checked(p_values)
    order = np.argsort(p, kind="stable")[::-1]
    factors = len(p) / np.arange(len(p), 0, -1)
    return _restored(np.minimum.accumulate(p[order] * factors), order)


def _checked(p_values: Sequence[float]) -> Floats:
    p = np.asarray(p_values, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise InputError("p-values must lie in [0, 1]; leave out what was not compared")
    return p


def _restored(adjusted: Floats, order: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Floats:
    back = np.empty_like(adjusted)
    back[order] = adjusted.clip(max=1.0)
    return back
