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

from dalle2eval.metrics.arrays import Floats, as_feature_pair
from dalle2eval.metrics.manifold import iterate_distances

FALSE_ALARM = 0.01  # share of held-out real images that would be called copies


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
    index, squared = np.empty(len(x), dtype=np.intp), np.empty(len(x))
    for rows, block in iterate_distances(x, y):
        index[rows] = block.argmin(axis=1)
        squared[rows] = block.min(axis=1)
    return Neighbours(index=index, distance=np.sqrt(squared))


def memorised(generated: ArrayLike, training: ArrayLike, held_out: ArrayLike) -> Floats:
    """Return [n]: 1 where an image is closer to the training set than 99% of held-out real images.

    The mean of a model that does not copy is 0.01 or less; an interval above 0.01 flags copying.

    Args:
        generated: features [n, d].
        training: features [m, d] of the images that the model was trained on.
        held_out: features [h, d] of real images from the same source that it was not trained on.

    Raises:
        InputError: a set is no finite table, or the widths differ.
    """
    fresh = nearest_neighbours(held_out, training).distance
    threshold = np.quantile(fresh, FALSE_ALARM)
    return np.asarray(
        nearest_neighbours(generated, training).distance < threshold, dtype=np.float64
    )
