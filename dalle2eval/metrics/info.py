"""What is known of a metric before it is computed: direction, inputs, interval and source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Needs = Literal[
    "features",
    "features+reference",
    "features+groups",
    "images+training",
    "images+texts",
    "images+head",
    "images+backbone",
    "image+prompt",
]
Estimator = Literal[
    "mean",
    "proportion",
    "frechet",
    "frechet-corrected",
    "kernel",
    "cmmd",
    "vendi",
    "within-prompt",
    "precision",
    "recall",
    "density",
    "coverage",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricInfo:
    """One row of the table of metrics.

    Attributes:
        higher_is_better: the direction; None when neither end is good in itself.
        needs: its inputs: features of the generated images, of a reference set, the prompt of each
            image (groups), the model's training set and held-out real images (training), aligned
            image and text features, a trained head, LPIPS's backbone, or one image and what its
            prompt asks for.
        estimator: how its interval is made (see ``dalle2eval.statistics``).
        unit: of its value; empty for a pure number.
        source: the paper or the definition.
        summary: one sentence for ``dalle2eval describe``.
        extractor: whose features it is of; None where it is of none, or of the judge's CLIP.
    """

    name: str
    higher_is_better: bool | None
    needs: Needs
    estimator: Estimator
    unit: str
    source: str
    summary: str
    extractor: str | None = None
