"""The table of metrics: one row each, with direction, inputs, interval, unit and source."""

from __future__ import annotations

from dataclasses import replace

from dalle2eval.metrics.info import Estimator, MetricInfo, Range

SHARE: Range = (0.0, 1.0)
AT_LEAST_0: Range = (0.0, None)
ANY: Range = (None, None)
COSINE_DISTANCE: Range = (0.0, 2.0)
PERCENT_COSINE: Range = (-100.0, 100.0)
EFFECTIVE_NUMBER: Range = (1.0, None)  # and no more than there are images
EXTRACTORS = ("scenes", "inception", "clip", "dinov2", "effnet")


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
            range=AT_LEAST_0,
        ),
        MetricInfo(
            name=f"kid_{extractor}",
            higher_is_better=False,
            needs="features+reference",
            estimator="kernel",
            unit="",
            source="Bińkowski et al. 2018, arXiv 1801.01401",
            summary=f"Unbiased squared MMD of {extractor} features, cubic kernel, all pairs once.",
            range=ANY,
        ),
        MetricInfo(
            name=f"vendi_{extractor}",
            higher_is_better=None,
            needs="features",
            estimator="vendi",
            unit="images",
            source="Friedman and Dieng 2023, arXiv 2210.02410",
            summary=f"Effective number of different images by {extractor} features; noise counts.",
            range=EFFECTIVE_NUMBER,
        ),
        MetricInfo(
            name=f"{frechet_name}_corrected",
            higher_is_better=False,
            needs="features+reference",
            estimator="frechet-corrected",
            unit="squared feature",
            source="Chong and Forsyth 2020, arXiv 1911.07023, by half-splits",
            summary=f"{frechet_name} without its bias of the sample size; needs n >= 4 d.",
            range=ANY,
        ),
        *_manifold_metrics(extractor),
        MetricInfo(
            name=f"memorised_{extractor}",
            higher_is_better=False,
            needs="images+training",
            estimator="proportion",
            unit="share",
            source="after Meehan et al. 2020, arXiv 2004.05675",
            summary="Images closer to the training set than 99% of fresh ones; 0.017 is none.",
            range=SHARE,
        ),
    ]


def _manifold_metrics(extractor: str) -> list[MetricInfo]:
    """Return the metrics over balls of 5 nearest neighbours."""
    kynkaanniemi = "Kynkäänniemi et al. 2019, arXiv 1904.06991, k = 5"
    naeem = "Naeem et al. 2020, arXiv 2002.09797, k = 5"
    rows: list[tuple[Estimator, str, str]] = [
        ("precision", kynkaanniemi, "generated images that lie among the reference images"),
        ("recall", kynkaanniemi, "reference images that lie among the generated images"),
        ("density", naeem, "reference balls around a generated image, over k; may exceed 1"),
        ("coverage", naeem, "reference balls that hold a generated image"),
    ]
    return [
        MetricInfo(
            name=f"{family}_{extractor}",
            higher_is_better=True,
            needs="features+reference",
            estimator=family,
            unit="balls over k" if family == "density" else "share",
            source=source,
            summary=f"By {extractor} features: {summary}.",
            range=AT_LEAST_0 if family == "density" else SHARE,
        )
        for family, source, summary in rows
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
        range=SHARE,
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
        range=ANY,
    ),
    MetricInfo(
        name="clip_score",
        higher_is_better=True,
        needs="images+texts",
        estimator="mean",
        unit="100 x cosine",
        source="Hessel et al. 2021, arXiv 2104.08718, uncut",
        summary="Cosine of image and text in the judge's space; guidance raises it, past reason.",
        range=PERCENT_COSINE,
    ),
    MetricInfo(
        name="r_precision",
        higher_is_better=True,
        needs="images+texts",
        estimator="proportion",
        unit="share",
        source="Xu et al. 2018, arXiv 1711.10485",
        summary="The image's own text is its nearest among 100 texts, in the judge's space.",
        range=SHARE,
    ),
    MetricInfo(
        name="aesthetic",
        higher_is_better=True,
        needs="images+head",
        estimator="mean",
        unit="rating",
        source="LAION-Aesthetics v1, a linear head over CLIP features",
        summary="Rating by a linear head from a file; what it was trained on is what it likes.",
        range=ANY,
    ),
    MetricInfo(
        name="diversity_within_prompt",
        higher_is_better=None,
        needs="features+groups",
        estimator="within-prompt",
        unit="cosine distance",
        source="mean pairwise cosine distance of the images of one prompt",
        summary="How much the images of one prompt differ; noise differs too.",
        range=COSINE_DISTANCE,
    ),
    MetricInfo(
        name="lpips_within_prompt",
        higher_is_better=None,
        needs="images+backbone",
        estimator="mean",
        unit="LPIPS",
        source="Zhang et al. 2018, arXiv 1801.03924, AlexNet",
        summary="How different the images of one prompt look; needs AlexNet's weights from a file.",
        range=AT_LEAST_0,
    ),
    _pass_fail("composition.object", "Single-object prompts: the shape is right."),
    _pass_fail("composition.colour", "The colour is right."),
    _pass_fail("composition.count", "The number of objects is right."),
    _pass_fail("composition.relation", "The spatial relation holds."),
    _pass_fail(
        "composition.binding", "Two-object prompts: both present, each in its shape and colour."
    ),
    _pass_fail("composition.readable", "The exact reader could read the picture."),
    _pass_fail("geneval.single_object", "The object is there."),
    _pass_fail("geneval.two_objects", "Both objects are there, in whatever colours."),
    _pass_fail("geneval.counting", "Exactly so many of the object are there."),
    _pass_fail("geneval.colours", "The object is there in its colour."),
    _pass_fail("geneval.position", "Both objects are there and stand as asked."),
    _pass_fail("geneval.colour_attribution", "Both objects are there, each in its own colour."),
    _pass_fail("geneval.binding", "Both things are there as described (T2I-CompBench; detector)."),
    _pass_fail("text.reader_exact", "The exact reader finds the word that the prompt asks for."),
    MetricInfo(
        name="text.exact",
        higher_is_better=True,
        needs="image+prompt",
        estimator="proportion",
        unit="share",
        source="OCR, case-folded and space-free",
        summary="OCR reads exactly the word that the prompt asks for.",
        range=SHARE,
    ),
    MetricInfo(
        name="text.cer",
        higher_is_better=False,
        needs="image+prompt",
        estimator="mean",
        unit="edits a letter",
        source="character error rate: edit distance over the asked length",
        summary="OCR edit distance over the length asked for; above 1 when far more is written.",
        range=AT_LEAST_0,
    ),
    MetricInfo(
        name="text.ned",
        higher_is_better=True,
        needs="image+prompt",
        estimator="mean",
        unit="share",
        source="1 - edit distance over the longer length, as AnyText reports it (arXiv 2311.03054)",
        summary="OCR similarity: 1 when the word is right, 0 when nothing of it is.",
        range=SHARE,
    ),
]

METRICS: dict[str, MetricInfo] = {
    info.name: info
    for info in [
        *_SINGLE,
        *(
            replace(row, extractor=extractor)
            for extractor in EXTRACTORS
            for row in _over_features(extractor)
        ),
    ]
}
