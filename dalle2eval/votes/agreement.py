"""Do voters agree? Krippendorff's alpha for names without order (Krippendorff 2011, nominal).

1 is full agreement, 0 is what chance gives, below 0 is disagreement on purpose. The answers
compared are the slots of a pair, which carry no arm: were they arms, a strong arm would make
agreement look like chance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dalle2eval.metrics.arrays import Floats
from dalle2eval.records import Estimate
from dalle2eval.votes.ballots import OUTCOMES, Ballots

METRIC = "krippendorff_alpha"
METHOD = "bootstrap over prompts"
RESAMPLES = 2000
RATERS = 2  # it takes two to agree
LEVELS = (0.025, 0.975)


def krippendorff_alpha(counts: NDArray[np.int64]) -> float | None:
    """Return alpha of units x answers [u, c]: how many voters gave each answer on each unit.

    None where no unit has two votes, or all votes are one answer, so that nothing could differ.
    """
    observed, answers = _parts(np.asarray(counts, dtype=np.float64))
    return _alpha(observed.sum(axis=0), answers.sum(axis=0))


def agreement(votes: Ballots, *, seed: int = 0) -> Estimate:
    """Return alpha over pairs, with an interval that resamples whole prompts."""
    pairs, unit = np.unique(votes.pair, return_inverse=True)
    counts = np.zeros((len(pairs), len(OUTCOMES)))
    np.add.at(counts, (unit.reshape(-1), votes.outcome), 1.0)
    prompt_of = np.zeros(len(pairs), dtype=np.int64)
    prompt_of[unit.reshape(-1)] = votes.prompt
    observed, answers = _parts(counts)
    kept = counts.sum(axis=1) >= RATERS
    alpha = _alpha(observed.sum(axis=0), answers.sum(axis=0))
    low = high = reason = None
    if alpha is None:
        alone = not kept.any()
        reason = "no pair has two voters" if alone else "everybody gave the same answer"
    else:
        groups = np.unique(prompt_of[kept], return_inverse=True)[1].reshape(-1)
        low, high = _interval(observed[kept], answers[kept], groups, alpha, seed)
    return Estimate(
        metric=METRIC,
        value=alpha,
        low=low,
        high=high,
        n=int(answers.sum()),
        method=METHOD,
        higher_is_better=True,
        reason=reason,
    )


def _parts(counts: Floats) -> tuple[Floats, Floats]:
    """Return each unit's observed disagreement [u, 1] and answers [u, c]; lone votes dropped."""
    raters = counts.sum(axis=1, keepdims=True)
    answers = np.where(raters >= RATERS, counts, 0.0)
    unequal = raters**2 - (counts**2).sum(axis=1, keepdims=True)
    observed = np.where(raters >= RATERS, unequal / np.maximum(raters - 1, 1.0), 0.0)
    return observed, answers


def _alpha(observed: Floats, answers: Floats) -> float | None:
    """Return 1 - D_o / D_e from sums over units: D_o [1], answers [c]."""
    n = float(answers.sum())
    chance = n * n - float((answers**2).sum())
    if chance == 0:
        return None
    return 1.0 - float(observed[0]) * (n - 1) / chance


def _interval(
    observed: Floats, answers: Floats, groups: NDArray[np.int64], alpha: float, seed: int
) -> tuple[float, float]:
    num = int(groups.max()) + 1
    table = np.zeros((num, 1 + answers.shape[1]))
    np.add.at(table, groups, np.concatenate([observed, answers], axis=1))
    rng = np.random.default_rng(seed)
    sums = np.stack([table[rng.integers(0, num, num)].sum(axis=0) for _ in range(RESAMPLES)])
    alphas = [a for row in sums if (a := _alpha(row[:1], row[1:])) is not None]
    low, high = np.quantile(alphas, LEVELS) if alphas else (alpha, alpha)
    return min(float(low), alpha), max(float(high), alpha)
