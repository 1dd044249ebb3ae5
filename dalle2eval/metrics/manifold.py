"""Precision, recall, density and coverage: does each image lie where the other set lives?

A set's manifold is the union of balls around its images, each reaching to the image's k-th nearest
neighbour in its own set (Kynkäänniemi et al., arXiv 1904.06991; Naeem et al., arXiv 2002.09797).
Mode collapse gives high precision and low recall, never the other way round. Distances are
computed in blocks: memory is O(n + m).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from dalle2eval.metrics.arrays import Floats, Rows, as_feature_pair, centred, squared_distances
from dalle2eval.records import InputError

NEIGHBOURS = 5  # arXiv 2002.09797 §5; 1904.06991 used 3
BLOCK = 1024


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Manifold:
    """Balls around the images of a set: centres [n, d] and squared radii [n]."""

    centres: Rows
    squared_radii: Floats
    neighbours: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Overlap:
    """What the four numbers are means of: one value an image.

    Attributes:
        precision: [n], 1 where a generated image lies in the reference manifold.
        recall: [m], 1 where a reference image lies in the generated manifold.
        density: [n], how many reference balls hold a generated image, over k; may exceed 1.
        coverage: [m], 1 where the ball of a reference image holds a generated one.
    """

    precision: Floats
    recall: Floats
    density: Floats
    coverage: Floats


def overlap(generated: ArrayLike, reference: ArrayLike, *, neighbours: int = NEIGHBOURS) -> Overlap:
    """Return precision, recall, density and coverage of features [n, d] and [m, d], image by image.

    Args:
        generated: at least ``neighbours`` + 1 rows.
        reference: at least ``neighbours`` + 1 rows.
        neighbours: k, how many neighbours a ball holds.

    Raises:
        InputError: a set is no finite table or too small, or their widths differ.
    """
    x, y = as_feature_pair(generated, reference)
    origin, given = y.mean(axis=0), (generated, reference)
    return overlap_of(
        manifold(centred(x, origin, given), "generated", neighbours=neighbours),
        manifold(centred(y, origin, given), "reference", neighbours=neighbours),
    )


def manifold(features: Rows, role: str = "features", *, neighbours: int = NEIGHBOURS) -> Manifold:
    """Return the balls around features [n, d]; to be kept where one set meets many.

    Raises:
        InputError: there are no more rows than neighbours.
    """
    if len(features) <= neighbours:
        raise InputError(f"{role}: {neighbours} neighbours need {neighbours + 1} images or more")
    nearest = np.full((len(features), neighbours), np.inf)
    for rows in _blocks(len(features)):  # each pair once: a block serves its rows and its columns
        for columns in _blocks(len(features), start=rows.start):
            squared = squared_distances(features[rows], features[columns])
            if columns.start == rows.start:
                np.fill_diagonal(squared, np.inf)  # no image is its own neighbour
            else:
                nearest[columns] = _smallest(nearest[columns], squared.T)
            nearest[rows] = _smallest(nearest[rows], squared)
    return Manifold(centres=features, squared_radii=nearest.max(axis=1), neighbours=neighbours)


def _smallest(known: Floats, new: Floats) -> Floats:
    """Return the k smallest of each row of known [n, k] and new [n, m], in no order."""
    k = known.shape[1]
    return np.asarray(np.partition(np.hstack([known, new]), k - 1, axis=1)[:, :k])


def overlap_of(generated: Manifold, reference: Manifold) -> Overlap:
    """Return precision, recall, density and coverage, image by image."""
    x, y = generated.centres, reference.centres
    balls, recalled, covered = np.zeros(len(x)), np.zeros(len(y)), np.zeros(len(y))
    for rows, squared in iterate_distances(x, y):
        inside = squared <= reference.squared_radii
        balls[rows] = inside.sum(axis=1)
        covered = np.maximum(covered, inside.any(axis=0))
        reached = squared <= generated.squared_radii[rows, None]
        recalled = np.maximum(recalled, reached.any(axis=0))
    return Overlap(
        precision=(balls > 0).astype(np.float64),
        recall=recalled,
        density=balls / reference.neighbours,
        coverage=covered,
    )


def precision(generated: ArrayLike, reference: ArrayLike) -> float:
    """Return the share of generated images in the reference manifold, [0, 1]; see ``overlap``."""
    return float(overlap(generated, reference).precision.mean())


def recall(generated: ArrayLike, reference: ArrayLike) -> float:
    """Return the share of reference images in the generated manifold, [0, 1]; see ``overlap``."""
    return float(overlap(generated, reference).recall.mean())


def density(generated: ArrayLike, reference: ArrayLike) -> float:
    """Return how many reference balls hold a generated image, over k, >= 0; see ``overlap``."""
    return float(overlap(generated, reference).density.mean())


def coverage(generated: ArrayLike, reference: ArrayLike) -> float:
    """Return the share of reference balls that hold a generated image, [0, 1]; see ``overlap``."""
    return float(overlap(generated, reference).coverage.mean())


def iterate_distances(x: Rows, y: Rows) -> Iterator[tuple[slice, Floats]]:
    """Yield rows of x with their squared distances to all of y, a block at a time."""
    for rows in _blocks(len(x)):
        yield rows, squared_distances(x[rows], y)


def _blocks(n: int, start: int = 0) -> Iterator[slice]:
    return (slice(i, min(i + BLOCK, n)) for i in range(start, n, BLOCK))
