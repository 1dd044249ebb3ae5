"""Standard errors of precision, recall, density and coverage against a given reference set.

Precision and density are means over generated images. Recall and coverage ask of each reference
image whether any generated image reaches it; they have no derivative, so groups of prompts are
left out in turn (delete-a-group jackknife, Shao and Tu 1995, §2.3): F = n (G - 1)/G x (mean of the
deleted values - the value without the group).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dalle2eval.metrics.arrays import Floats
from dalle2eval.metrics.info import Estimator
from dalle2eval.metrics.manifold import NEIGHBOURS, Manifold, manifold, overlap_of
from dalle2eval.statistics.features import Features
from dalle2eval.statistics.influence import Influence, group_codes

MAX_GROUPS = 20  # times the cost of one recall; t with 19 degrees of freedom is 7% wider than z


def overlap_influence(
    estimator: Estimator, generated: Features, reference: Features
) -> Influence | str:
    """Return the influence of one of the four numbers, or why it has none."""
    codes = group_codes(generated.prompts)
    for role, features in (("generated", generated), ("reference", reference)):
        if len(features.keys) <= 2 * NEIGHBOURS:
            return f"{role}: {len(features.keys)} images are too few for {NEIGHBOURS} neighbours"
    balls = manifold(reference.values, "reference")
    if estimator in ("precision", "density"):
        return _mean_influence(_values(estimator, generated.values, balls), codes)
    return _jackknife(estimator, generated.values, balls, codes)


def _values(estimator: Estimator, x: Floats, reference: Manifold) -> Floats:
    overlap = overlap_of(manifold(x, "generated"), reference)
    values: Floats = getattr(overlap, estimator)
    return values


def _mean_influence(values: Floats, codes: NDArray[np.intp]) -> Influence:
    return Influence(value=float(values.mean()), first=values - values.mean(), groups=codes)


def _jackknife(
    estimator: Estimator, x: Floats, reference: Manifold, codes: NDArray[np.intp]
) -> Influence:
    """Return an influence that is shared out evenly inside each group of prompts."""
    num_groups = min(MAX_GROUPS, int(codes.max()) + 1)
    groups = codes % num_groups
    without = np.array(
        [_values(estimator, x[groups != g], reference).mean() for g in range(num_groups)]
    )
    totals = len(x) * (num_groups - 1) / num_groups * (without.mean() - without)
    first = (totals / np.bincount(groups))[groups]
    value = float(_values(estimator, x, reference).mean())
    return Influence(value=value, first=first, groups=groups)
