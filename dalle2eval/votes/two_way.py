"""Variance of sums whose parts share voters and share prompts: two-way clustering.

A voter has a taste and a prompt has a difficulty, so the votes of either are not independent.
Cameron, Gelbach and Miller 2011 (Robust inference with multiway clustering, Eq. 2.11): the variance
clustered by voter plus that clustered by prompt less that clustered by both at once.
"""

from __future__ import annotations

import numpy as np

from dalle2eval.metrics.arrays import Floats
from dalle2eval.votes.ballots import Codes


def variance_of_sum(parts: Floats, voters: Codes, prompts: Codes) -> Floats:
    """Return the variance [k] of each column's sum of ``parts`` [n, k], each centred at zero.

    With a single voter only prompts are clustered: the number is then about new prompts for this
    voter. Where the three terms leave less than one way alone has (few clusters; it may even be
    below zero), the larger of the ways is taken in their place; where votes balance out exactly in
    both ways, that of single votes.

    Raises:
        ValueError: there is one voter and one prompt.
    """
    ways = [_clustered(parts, codes) for codes in (voters, prompts) if num_clusters(codes) > 1]
    if not ways:
        raise ValueError("one voter and one prompt: there is no spread to judge by")
    if len(ways) == 1:
        return ways[0]
    both = _clustered(parts, _joined(voters, prompts))
    largest = np.maximum(ways[0], ways[1])
    result: Floats = np.maximum(ways[0] + ways[1] - both, largest)
    return np.where(result > 0, result, both)


def degrees_of_freedom(voters: Codes, prompts: Codes) -> int:
    """Return the fewest clusters of either way less one; a single voter is no way."""
    counts = (num_clusters(voters), num_clusters(prompts))
    return min(count for count in counts if count > 1) - 1


def num_clusters(codes: Codes) -> int:
    """Return how many different voters or prompts there are."""
    return len(np.unique(codes))


def _clustered(parts: Floats, codes: Codes) -> Floats:
    found, places = np.unique(codes, return_inverse=True)
    sums = np.zeros((len(found), parts.shape[1]))
    np.add.at(sums, places.reshape(-1), parts)
    result: Floats = len(found) / (len(found) - 1) * (sums**2).sum(axis=0)
    return result


def _joined(voters: Codes, prompts: Codes) -> Codes:
    return voters * (int(prompts.max()) + 1) + prompts
