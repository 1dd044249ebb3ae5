"""Metrics: features in, number out, float64, numpy alone; order always (generated, reference).

``METRICS`` is the table of every metric by name. A metric over features carries the extractor's
name, because the same formula over other features is another number; only the Fréchet distance
over Inception-v3 is ``fid``.
"""

from __future__ import annotations

from dalle2eval.metrics.aesthetic import LinearHead, aesthetic_score, load_aesthetic_head
from dalle2eval.metrics.alignment import clip_score, r_precision
from dalle2eval.metrics.diversity import (
    vendi_score,
    within_prompt_distance,
    within_prompt_distances,
    within_prompt_spread,
)
from dalle2eval.metrics.frechet import (
    Moments,
    frechet_distance,
    frechet_distance_corrected,
    frechet_distance_from_moments,
    moments,
)
from dalle2eval.metrics.info import MetricInfo
from dalle2eval.metrics.kernel import cmmd, kernel_distance
from dalle2eval.metrics.manifold import Overlap, coverage, density, overlap, precision, recall
from dalle2eval.metrics.memorisation import (
    Neighbours,
    flag_level,
    memorised,
    nearest_neighbours,
)
from dalle2eval.metrics.table import METRICS
from dalle2eval.records import InputError
from dalle2eval.spelling import nearest

__all__ = [
    "METRICS",
    "LinearHead",
    "MetricInfo",
    "Moments",
    "Neighbours",
    "Overlap",
    "aesthetic_score",
    "clip_score",
    "cmmd",
    "coverage",
    "density",
    "flag_level",
    "frechet_distance",
    "frechet_distance_corrected",
    "frechet_distance_from_moments",
    "get_metric",
    "kernel_distance",
    "load_aesthetic_head",
    "memorised",
    "moments",
    "nearest_neighbours",
    "overlap",
    "precision",
    "r_precision",
    "recall",
    "vendi_score",
    "within_prompt_distance",
    "within_prompt_distances",
    "within_prompt_spread",
]


def get_metric(name: str) -> MetricInfo:
    """Return the table's row of a metric.

    Raises:
        InputError: there is none of that name; the message gives the nearest one.
    """
    if name in METRICS:
        return METRICS[name]
    raise InputError(f"unknown metric {name!r}{nearest(name, sorted(METRICS))}")
