"""Metrics: features in, number out, float64, numpy alone; order always (generated, reference).

``METRICS`` is the table of every metric by name. A metric over features carries the extractor's
name, because the same formula over other features is another number; only the Fréchet distance
over Inception-v3 is ``fid``.
"""

from __future__ import annotations

import difflib

from dalle2eval.metrics.alignment import clip_score
from dalle2eval.metrics.diversity import (
    vendi_score,
    within_prompt_distance,
    within_prompt_distances,
)
from dalle2eval.metrics.frechet import (
    Moments,
    frechet_distance,
    frechet_distance_from_moments,
    moments,
)
from dalle2eval.metrics.info import MetricInfo
from dalle2eval.metrics.kernel import cmmd, kernel_distance
from dalle2eval.records import InputError

__all__ = [
    "METRICS",
    "MetricInfo",
    "Moments",
    "clip_score",
    "cmmd",
    "frechet_distance",
    "frechet_distance_from_moments",
    "get_metric",
    "kernel_distance",
    "moments",
    "vendi_score",
    "within_prompt_distance",
    "within_prompt_distances",
]

EXTRACTORS = ("scenes", "inception", "clip", "dinov2", "effnet")


def get_metric(name: str) -> MetricInfo:
    """Return the table's row of a metric.

    Raises:
        InputError: there is none of that name; the message gives the nearest one.
    """
    if name in METRICS:
        return METRICS[name]
    near = difflib.get_close_matches(name, METRICS, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(sorted(METRICS))}"
    raise InputError(f"unknown metric {name!r}{hint}")


def _over_features(extractor: str) -> list[MetricInfo]:
    """Return the metrics over one extractor's features."""
    frechet_name = "fid" if extractor == "inception" else f"fd_{extractor}"
    return [
        MetricInfo(
            name=frechet_name,
            higher_is_better=False,
            needs="features+reference",
            estimator="frechet",
            unit="squared feature",
            source="Heusel et al. 2017, arXiv 1706.08500",
            summary=f"Distance of Gaussians fitted to {extractor} features; about c/n too high.",
        ),
        MetricInfo(
            name=f"kid_{extractor}",
            higher_is_better=False,
            needs="features+reference",
            estimator="kernel",
            unit="",
            source="Bińkowski et al. 2018, arXiv 1801.01401",
            summary=f"Unbiased squared MMD of {extractor} features, cubic kernel, all pairs once.",
        ),
        MetricInfo(
            name=f"vendi_{extractor}",
            higher_is_better=None,
            needs="features",
            estimator="vendi",
            unit="images",
            source="Friedman and Dieng 2023, arXiv 2210.02410",
            summary=f"Effective number of different images by {extractor} features; noise counts.",
        ),
    ]


def _pass_fail(name: str, summary: str) -> MetricInfo:
    """Return a probe's metric whose score is 1.0 for right and 0.0 for wrong."""
    return MetricInfo(
        name=name,
        higher_is_better=True,
        needs="image+prompt",
        estimator="proportion",
        unit="share",
        source="exact reader of the procedural scenes",
        summary=summary,
    )


_SINGLE = [
    MetricInfo(
        name="cmmd",
        higher_is_better=False,
        needs="features+reference",
        estimator="cmmd",
        unit="x 1000",
        source="Jayasumana et al. 2024, arXiv 2401.09603",
        summary="Unbiased squared MMD of CLIP features, Gaussian kernel of width 10, times 1000.",
    ),
    MetricInfo(
        name="clip_score",
        higher_is_better=True,
        needs="images+texts",
        estimator="mean",
        unit="100 x cosine",
        source="Hessel et al. 2021, arXiv 2104.08718, uncut",
        summary="Cosine of image and text in the judge's space; guidance raises it, past reason.",
    ),
    MetricInfo(
        name="diversity_within_prompt",
        higher_is_better=None,
        needs="features+groups",
        estimator="within-prompt",
        unit="cosine distance",
        source="mean pairwise cosine distance of the images of one prompt",
        summary="How much the images of one prompt differ; noise differs too.",
    ),
    _pass_fail("composition.object", "Single-object prompts: the shape is right."),
    _pass_fail("composition.colour", "The colour is right."),
    _pass_fail("composition.count", "The number of objects is right."),
    _pass_fail("composition.relation", "The spatial relation holds."),
    _pass_fail(
        "composition.binding", "Two-object prompts: both present, each in its shape and colour."
    ),
    _pass_fail("text.reader_exact", "The exact reader finds the word that the prompt asks for."),
    MetricInfo(
        name="text.exact",
        higher_is_better=True,
        needs="image+prompt",
        estimator="proportion",
        unit="share",
        source="OCR, case-folded and space-free",
        summary="OCR reads exactly the word that the prompt asks for.",
    ),
    MetricInfo(
        name="text.cer",
        higher_is_better=False,
        needs="image+prompt",
        estimator="mean",
        unit="edits a letter",
        source="character error rate: edit distance over the asked length",
        summary="OCR edit distance over the length asked for; above 1 when far more is written.",
    ),
    MetricInfo(
        name="text.ned",
        higher_is_better=True,
        needs="image+prompt",
        estimator="mean",
        unit="share",
        source="1 - edit distance over the longer length, as AnyText reports it (arXiv 2311.03054)",
        summary="OCR similarity: 1 when the word is right, 0 when nothing of it is.",
    ),
]

METRICS: dict[str, MetricInfo] = {
    info.name: info
    for info in [*_SINGLE, *(row for extractor in EXTRACTORS for row in _over_features(extractor))]
}
