"""Does the model copy its training images? Nearest neighbours, held against fresh real images.

A generated image close to a training image proves nothing by itself: real images are close to each
other too. So the distances of held-out real images to the training set are the yardstick (Meehan
et al., arXiv 2004.05675): a model that does not copy is no closer to its training set than they
are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from dalle2eval.metrics.arrays import Floats, as_feature_pair, as_rows, require_rows
from dalle2eval.metrics.manifold import iterate_distances
from dalle2eval.records import InputError

FALSE_ALARM = 0.01  # share of held-out real images that would be called copies
# With fewer, 1% of them is not one image, and the threshold is the luck of the nearest: of honest
# models 92% had an interval above 0.01 at 5, 38% at 50.
FEWEST_HELD_OUT = 100
SAME = 1e-6  # of the distance from the training set's mean: two embeddings of one image


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Neighbours:
    """The nearest training image of each image.

    Attributes:
        index: [n], its row in the training set.
        distance: [n], Euclidean distance to it in feature space.
    """

    index: NDArray[np.intp]
    distance: Floats


def nearest_neighbours(generated: ArrayLike, training: ArrayLike) -> Neighbours:
    """Return the nearest row of training [m, d] for each row of generated [n, d], in blocks.

    Raises:
        InputError: a set is no finite table, or their widths differ.
    """
    x, y = as_feature_pair(generated, training)
    origin = y.mean(axis=0)  # distances by products: far from 0 nothing would be left of them
    x, y = x - origin, y - origin
    index, squared = np.empty(len(x), dtype=np.intp), np.empty(len(x))
    for rows, block in iterate_distances(x, y):
        index[rows] = block.argmin(axis=1)
        squared[rows] = block.min(axis=1)
    return Neighbours(index=index, distance=np.sqrt(squared))


def memorised(generated: ArrayLike, training: ArrayLike, held_out: ArrayLike) -> Floats:
    """Return [n]: 1 where an image is closer to the training set than 99% of held-out real images.

    The mean of a model that does not copy is about 0.01, as far as h held-out images know the
    threshold: an interval above `flag_level` (0.017 at h = 1,024) flags copying. An interval
    above 0.01 itself is no proof: at h = 1,000 it happens to 14% of honest models by 1,024 images,
    to 52% at h = 100; above `flag_level` to 0.6% and 1.8% (20,000 simulated models each).

    Args:
        generated: features [n, d].
        training: features [m, d] of the images that the model was trained on.
        held_out: features [h, d] of real images from the same source that it was not trained on.

    Raises:
        InputError: a set is no finite table, the widths differ, there are fewer than
            `FEWEST_HELD_OUT` held-out images, or some of them lie in the training set too.
    """
    require_rows(as_rows(held_out, "held out"), FEWEST_HELD_OUT, "held out")
    fresh = nearest_neighbours(held_out, training)
    _refuse_shared(held_out, training, fresh)
    threshold = np.quantile(fresh.distance, FALSE_ALARM)
    return np.asarray(
        nearest_neighbours(generated, training).distance < threshold, dtype=np.float64
    )


def flag_level(num_held_out: int) -> float:
    """Return the share of `memorised` images that a model must exceed to be called a copier.

    The share of a model that does not copy is the true level of a threshold that was estimated: of
    h uniform numbers the quantile at 0.01, between two order statistics, Beta(k, h + 1 - k). Its
    95% quantile is exceeded by 5% of honest models, however many images they draw.

    >>> round(flag_level(1024), 4)
    0.0168
    """
    k = 1.0 + FALSE_ALARM * (num_held_out - 1)
    return float(stats.beta.ppf(0.95, k, num_held_out + 1 - k))


def _refuse_shared(held_out: ArrayLike, training: ArrayLike, nearest: Neighbours) -> None:
    """Refuse held-out images that are training images: a threshold of 0 flags nothing, ever."""
    x, y = as_feature_pair(held_out, training)
    gaps = np.linalg.norm(x - y[nearest.index], axis=1)
    shared = int((gaps <= SAME * np.linalg.norm(x - y.mean(axis=0), axis=1)).sum())
    if shared:
        raise InputError(
            f"held out: {shared} of {len(x)} images are in the training set too; leave them out"
        )
