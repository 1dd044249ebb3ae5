"""Statistics: from scores and features to Estimates and Comparisons, never to a bare number.

The evaluator calls four functions; each chooses the method by the metric's row in ``METRICS``.
"""

from __future__ import annotations

from dalle2eval.statistics.comparisons import Arms, compare_features, compare_scores
from dalle2eval.statistics.contributions import compare_contributions, contributions_of
from dalle2eval.statistics.estimators import estimate_features, estimate_scores
from dalle2eval.statistics.features import Features, shared
from dalle2eval.statistics.intervals import Interval, wilson_interval
from dalle2eval.statistics.multiplicity import benjamini_hochberg, holm
from dalle2eval.statistics.power import minimum_detectable_effect, prompts_needed, spread_of
from dalle2eval.statistics.relative_mmd import RelativeDistance, relative_mmd

__all__ = [
    "Arms",
    "Features",
    "Interval",
    "RelativeDistance",
    "benjamini_hochberg",
    "compare_contributions",
    "compare_features",
    "compare_scores",
    "contributions_of",
    "estimate_features",
    "estimate_scores",
    "holm",
    "minimum_detectable_effect",
    "prompts_needed",
    "relative_mmd",
    "shared",
    "spread_of",
    "wilson_interval",
]
