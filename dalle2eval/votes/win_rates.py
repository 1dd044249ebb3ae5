"""How often one arm is preferred to another, a tie counting half, with its interval.

The share is a mean over votes that are not independent (`votes.two_way`), so Wilson's interval is
taken at the effective number of votes, with t in place of z for few voters or prompts: inside
[0, 1] and honest near its ends, where value ± 1.96 errors is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

from dalle2eval.metrics.arrays import Floats
from dalle2eval.records import Estimate
from dalle2eval.statistics.intervals import LEVEL, Interval, wilson_interval
from dalle2eval.votes.ballots import BOTH_BAD, FIRST_WINS, SECOND_WINS, TIED, Ballots, Codes
from dalle2eval.votes.two_way import degrees_of_freedom, num_clusters, variance_of_sum

METHOD = "wilson, clustered by voter and prompt"
EVEN = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class WinRate:
    """One arm against another.

    Attributes:
        arm: number of the arm whose rate it is.
        versus: number of the other.
        ties: votes for neither; ``bad`` of them said that both are bad.
    """

    arm: int
    versus: int
    wins: int
    losses: int
    ties: int
    bad: int
    voters: int
    prompts: int
    estimate: Estimate


def win_rates(votes: Ballots, num_arms: int, metric: str) -> tuple[WinRate, ...]:
    """Return the rate of every arm against each later one that it met."""
    rates = []
    for arm, versus in combinations(range(num_arms), 2):
        forward = (votes.first == arm) & (votes.second == versus)
        backward = (votes.first == versus) & (votes.second == arm)
        met = forward | backward
        if met.any():
            won = np.where(forward, FIRST_WINS, SECOND_WINS)[met]
            rates.append(_rate(votes, met, won, (arm, versus), metric))
    return tuple(rates)


def _rate(votes: Ballots, met: Codes, won: Codes, arms: tuple[int, int], metric: str) -> WinRate:
    outcome, voter, prompt = votes.outcome[met], votes.voter[met], votes.prompt[met]
    bad = outcome == BOTH_BAD
    ties = bad | (outcome == TIED)
    values = np.where(ties, EVEN, (outcome == won).astype(np.float64))
    return WinRate(
        arm=arms[0],
        versus=arms[1],
        wins=int((values == 1.0).sum()),
        losses=int((values == 0.0).sum()),
        ties=int(ties.sum()),
        bad=int(bad.sum()),
        voters=num_clusters(voter),
        prompts=num_clusters(prompt),
        estimate=_estimate(values, voter, prompt, metric),
    )


def _estimate(values: Floats, voter: Codes, prompt: Codes, metric: str) -> Estimate:
    value, low, high, reason = float(values.mean()), None, None, None
    if num_clusters(prompt) > 1:
        interval = clustered_share_interval(values, voter, prompt)
        low, high = interval.low, interval.high
    else:
        reason = "one prompt was voted on; an interval takes two"
    alone = num_clusters(voter) == 1
    return Estimate(
        metric=metric,
        value=value if reason is None else None,
        low=low,
        high=high,
        n=len(values),
        method=METHOD,
        higher_is_better=True,
        reason=reason,
        note="one voter: nothing is known of what others prefer" if alone else None,
    )


def clustered_share_interval(values: Floats, voter: Codes, prompt: Codes) -> Interval:
    """Return the 95% interval of the mean of values in [0, 1], clustered two ways.

    Args:
        values: [n], a vote each: 1, 0 or a half.
        voter: [n], numbers of the voters.
        prompt: [n], numbers of the prompts; at least two.
    """
    n, share = len(values), float(values.mean())
    variance = float(variance_of_sum((values - share)[:, None], voter, prompt)[0]) / n**2
    freedom = degrees_of_freedom(voter, prompt)
    if 0 < share < 1:
        effective = min(n, share * (1 - share) / variance) if variance > 0 else n
    else:
        effective = freedom + 1  # all agree: the spread is unknown, so clusters stand for votes
    quantile = float(stats.t.ppf((1 + LEVEL) / 2, freedom))
    return wilson_interval(share * effective, effective, quantile=quantile)
