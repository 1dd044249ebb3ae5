"""The influence of any metric over a set of features, by its row in ``METRICS``."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from dalle2eval.metrics import MetricInfo, within_prompt_distances
from dalle2eval.metrics.arrays import Floats, unit_rows
from dalle2eval.metrics.frechet import HALF_SPLIT_GUARD, frechet_distance_corrected
from dalle2eval.metrics.kernel import CMMD_SCALE, Kernel, cubic_kernel, gaussian_kernel
from dalle2eval.records import InputError
from dalle2eval.statistics.distance_influence import (
    frechet_bias,
    frechet_bias_of_seeds,
    frechet_influence,
    kernel_influence,
)
from dalle2eval.statistics.diversity_influence import vendi_influence
from dalle2eval.statistics.features import Features, require_one_extractor
from dalle2eval.statistics.influence import Influence, group_codes
from dalle2eval.statistics.overlap_influence import overlap_influence
from dalle2eval.statistics.shared_prompts import kernel_influence_between_prompts

HEALTHY_RATIO = 2  # images a dimension, below which a covariance is poorly known


def set_influence(
    metric: MetricInfo, generated: Features, reference: Features | None
) -> Influence | str:
    """Return the metric's influence over the generated images, or the reason why it has no value.

    Raises:
        InputError: the metric needs a reference set and there is none, or is not one over features.
        NotComparable: the reference set's features are of another extractor.
    """
    if metric.needs == "features+reference":
        if reference is None:
            raise InputError(f"{metric.name} needs the features of a reference set")
        require_one_extractor(generated, reference)
        if metric.estimator in ("precision", "recall", "density", "coverage"):
            return overlap_influence(metric.estimator, generated, reference)
        return _distance(metric, generated, reference)
    if metric.estimator == "within-prompt":
        return _within_prompt(generated)
    if metric.estimator == "vendi":
        return vendi_influence(generated.values, group_codes(generated.prompts))
    raise InputError(f"{metric.name} is scored image by image, not over a set of features")


def with_pairs(generated: Features) -> Features:
    """Return the images of prompts with two images or more: the others say nothing of diversity.

    Where no prompt has two, all are returned, and the metric says why it has no value.
    """
    codes = group_codes(generated.prompts)
    paired = np.flatnonzero(np.bincount(codes)[codes] > 1)
    return generated.pick(paired) if len(paired) else generated


def caution(
    metric: MetricInfo, generated: Features, reference: Features | None, influence: Influence
) -> str | None:
    """Return what must be printed beside a Fréchet distance: its rank and its bias; else None."""
    if metric.estimator != "frechet" or reference is None:
        return None
    d, notes = generated.values.shape[1], []
    if len(generated.keys) < HEALTHY_RATIO * d:
        notes.append("rank-deficient: N < 2d")
    if len(reference.keys) < HEALTHY_RATIO * d:
        notes.append("reference rank-deficient: M < 2d")
    notes.append(_bias_note(influence, shares_prompts=reference.shares_prompts))
    return "; ".join(notes)


def _bias_note(influence: Influence, *, shares_prompts: bool) -> str:
    """Say how much of a Fréchet distance is bias: of new prompts and seeds, or of seeds alone."""
    if not shares_prompts:
        return f"about {frechet_bias(influence):.2g} of it is bias of the sample size"
    of_seeds = frechet_bias_of_seeds(influence)
    if of_seeds is None:
        return f"less than {frechet_bias(influence):.2g} of it is bias of the sample size"
    return f"about {of_seeds:.2g} of it is bias of few seeds a prompt"


def _distance(metric: MetricInfo, generated: Features, reference: Features) -> Influence | str:
    x, y, groups = generated.values, reference.values, group_codes(generated.prompts)
    if metric.estimator in ("frechet", "frechet-corrected"):
        refusal = _too_few(metric, *x.shape)
        if refusal:
            return refusal
        influence = frechet_influence(x, y, groups)
        corrected = metric.estimator == "frechet-corrected"
        return _corrected(influence, frechet_distance_corrected(x, y)) if corrected else influence
    if metric.estimator == "kernel":
        # Rows far from 0 would leave nothing of the differences of their products.
        origin = y.mean(axis=0)
        kernel = partial(cubic_kernel, origin=origin)
        return _mmd(generated, reference, x - origin, y - origin, kernel)
    x, y = unit_rows(x, "generated"), unit_rows(y, "reference")
    return _scaled(_mmd(generated, reference, x, y, gaussian_kernel), CMMD_SCALE)


def _mmd(
    generated: Features, reference: Features, x: Floats, y: Floats, kernel: Kernel
) -> Influence:
    """Return the influence of unbiased MMD² of rows x from y, over what is independent."""
    if not reference.shares_prompts:
        return kernel_influence(x, y, group_codes(generated.prompts), kernel)
    codes = group_codes([*generated.prompts, *reference.prompts])
    return kernel_influence_between_prompts(x, y, codes[: len(x)], codes[len(x) :], kernel)


def _too_few(metric: MetricInfo, n: int, d: int) -> str | None:
    """Return why a Fréchet distance of n images in d dimensions cannot be known, or None."""
    if n <= d:
        return (
            f"{n} images in {d} dimensions have no full covariance: the distance would be mostly "
            "bias, with no valid interval; use KID or more images"
        )
    if metric.estimator == "frechet-corrected" and n < HALF_SPLIT_GUARD * d:
        return (
            f"{n} images are fewer than {HALF_SPLIT_GUARD} x {d}: the bias cannot be taken off; "
            "use KID or more images"
        )
    return None


def _within_prompt(generated: Features) -> Influence | str:
    """Return the mean of the prompts' distances; every prompt weighs the same."""
    distances = within_prompt_distances(generated.values, generated.prompts)
    if len(distances) < 2 or len(with_pairs(generated).keys) < len(generated.keys):  # noqa: PLR2004
        return "needs two prompts with two images or more"
    values = np.array([distances[prompt] for prompt in generated.prompts])
    codes = group_codes(generated.prompts)
    weights = len(codes) / (len(distances) * np.bincount(codes)[codes])
    mean = float(np.mean(list(distances.values())))
    return Influence(value=mean, first=weights * (values - mean), groups=codes)


def _corrected(influence: Influence, value: float) -> Influence:
    """Return the influence of 2 FD(n) - mean FD(n/2) over two splits into halves.

    The first order is that of FD. Of the second order only pairs in different halves are left,
    with weights 0, 1 or 2 whose mean square is 3/2: V = V1 + 3/2 V2, half of V2 below the plug-in.
    """
    assert influence.second is not None
    return replace(influence, value=value, second=influence.second * np.sqrt(0.5))


def _scaled(influence: Influence, scale: float) -> Influence:
    assert influence.second is not None
    return replace(
        influence,
        value=influence.value * scale,
        first=influence.first * scale,
        second=influence.second * scale,
    )
