"""The metrics as ``torchmetrics.Metric`` objects, for training loops to log.

They take features, not images: the loop owns the extractor. The reference set is fixed when the
object is made, so ``reset`` clears the generated images only. Numbers are computed in float64 by
``dalle2eval.metrics`` and synchronise over processes as torchmetrics does. For intervals and
comparisons use ``dalle2eval.statistics``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from dalle2eval import metrics
from dalle2eval.metrics import Moments
from dalle2eval.metrics.arrays import LARGEST, Floats, as_features
from dalle2eval.records import InputError


class FrechetDistance(Metric):
    """Fréchet distance to a reference set; keeps sums only, d² numbers for any number of images.

    Args:
        reference: features [m, d] of the reference set, m >= 2.

    Raises:
        InputError: (from ``compute``) fewer than two images were seen.
    """

    higher_is_better = False
    is_differentiable = False
    full_state_update = False
    count: Tensor
    total: Tensor
    products: Tensor

    def __init__(self, reference: Tensor, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reference = metrics.moments(_as_numpy(reference))
        d = reference.shape[1]
        # Sums are taken about the reference mean, so that nothing cancels.
        self.register_buffer("origin", torch.from_numpy(self.reference.mean), persistent=False)
        self.add_state("count", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros(d, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("products", torch.zeros(d, d, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, features: Tensor) -> None:
        """Add features [n, d] of generated images.

        Raises:
            InputError: a row is not finite, or too large; sums would hide it.
        """
        rows = features.detach().double()
        if not bool((rows.abs() <= LARGEST).all()):  # NaN is not below anything
            as_features(_as_numpy(rows), "generated")  # says which row
        centred = rows - self.origin
        self.count += len(centred)
        self.total += centred.sum(dim=0)
        self.products += centred.T @ centred

    def compute(self) -> Tensor:
        """Return the distance as a float64 scalar."""
        n = int(self.count)
        if n < 2:  # noqa: PLR2004
            raise InputError(f"generated: needs at least 2 images, got {n}")
        mean = self.total.cpu().numpy() / n
        covariance = (self.products.cpu().numpy() - n * np.outer(mean, mean)) / (n - 1)
        generated = Moments(mean=mean + self.reference.mean, covariance=covariance, n=n)
        return _scalar(
            metrics.frechet_distance_from_moments(generated, self.reference), self.device
        )


class _KeepsFeatures(Metric):
    """A metric that needs all features at its end: n x d numbers."""

    is_differentiable = False
    full_state_update = False
    features: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("features", [], dist_reduce_fx="cat")

    def update(self, features: Tensor) -> None:
        """Add features [n, d] of generated images."""
        self.features.append(features.detach())

    def _kept(self) -> Floats:
        if not len(self.features):
            raise InputError("generated: needs at least 1 image, got 0")
        return _as_numpy(dim_zero_cat(self.features))


class _AgainstReference(_KeepsFeatures):
    """A metric of kept features against a fixed reference set [m, d]."""

    function: Callable[..., float]

    def __init__(self, reference: Tensor, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reference = _as_numpy(reference)

    def compute(self) -> Tensor:
        """Return the metric as a float64 scalar."""
        return _scalar(type(self).function(self._kept(), self.reference), self.device)


class KernelDistance(_AgainstReference):
    """KID to a reference set: unbiased, all pairs once."""

    higher_is_better = False
    function = staticmethod(metrics.kernel_distance)


class Cmmd(_AgainstReference):
    """CMMD of CLIP features to a reference set."""

    higher_is_better = False
    function = staticmethod(metrics.cmmd)


class Precision(_AgainstReference):
    """Share of generated images that lie among the reference images."""

    higher_is_better = True
    function = staticmethod(metrics.precision)


class Recall(_AgainstReference):
    """Share of reference images that lie among the generated images."""

    higher_is_better = True
    function = staticmethod(metrics.recall)


class Density(_AgainstReference):
    """How many reference balls hold a generated image, over k; may exceed 1."""

    higher_is_better = True
    function = staticmethod(metrics.density)


class Coverage(_AgainstReference):
    """Share of reference balls that hold a generated image."""

    higher_is_better = True
    function = staticmethod(metrics.coverage)


class VendiScore(_KeepsFeatures):
    """Effective number of different images; grows with their number, and noise is diverse too."""

    def compute(self) -> Tensor:
        """Return the score as a float64 scalar."""
        return _scalar(metrics.vendi_score(self._kept()), self.device)


class ClipScore(Metric):
    """Mean of 100 x cosine of images and their texts in a judge's space."""

    higher_is_better = True
    is_differentiable = False
    full_state_update = False
    count: Tensor
    total: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("count", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, image_features: Tensor, text_features: Tensor) -> None:
        """Add image features [n, d] and the features [n, d] of their texts."""
        scores = metrics.clip_score(_as_numpy(image_features), _as_numpy(text_features))
        self.count += len(scores)
        self.total += float(scores.sum())

    def compute(self) -> Tensor:
        """Return the mean score as a float64 scalar."""
        if int(self.count) == 0:
            raise InputError("generated: needs at least 1 image, got 0")
        return self.total / self.count


def _as_numpy(features: Tensor) -> Floats:
    return np.asarray(features.detach().cpu().double().numpy())


def _scalar(value: float, device: torch.device) -> Tensor:
    return torch.tensor(value, dtype=torch.float64, device=device)
