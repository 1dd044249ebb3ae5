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

Range = tuple[float | None, float | None]


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
        range: least and largest value that it can have; None where there is no such bound. Unbiased
            estimates of a distance may be negative, so theirs has none.
        extractor: whose features it is of; None where it is of none, or of the judge's CLIP.
    """

    name: str
    higher_is_better: bool | None
    needs: Needs
    estimator: Estimator
    unit: str
    source: str
    summary: str
    range: Range
    extractor: str | None = None

    def bounds(self, n: int) -> Range:
        """Return the least and the largest value over n images; no more than n can differ."""
        least, largest = self.range
        return (least, float(n)) if self.estimator == "vendi" else (least, largest)

    def difference_bounds(self, n: int) -> Range:
        """Return the least and the largest difference of two values over n images each."""
        least, largest = self.bounds(n)
        if least is None or largest is None:
            return None, None
        return least - largest, largest - least
