"""Contributions of images and of pairs of images to the Fréchet and the kernel distances.

The reference set is taken as given: it is the yardstick. The intervals that follow say where the
distance of fresh generated sets of the same size from this same reference set would lie.

Fréchet, with M = Lᵀ S2 L = V diag(r²) Vᵀ, S1 = L Lᵀ, z = Vᵀ Lᵀ c and c a centred generated row:

    first(i)     = 2 (m1 - m2)ᵀ cᵢ + cᵢᵀ cᵢ - Σₖ zᵢₖ² / rₖ, centred
                   (gradient of Bures-Wasserstein)
    second(i, j) = cᵢᵀ cⱼ + ½ Σₖₗ wₖₗ (zᵢₖ zᵢₗ - δₖₗ rₖ²)(zⱼₖ zⱼₗ - δₖₗ rₖ²)
                   (half of its Hessian)
    wₖₗ          = 1 / (rₖ rₗ (rₖ + rₗ)) = ∫ exp(-t rₖ) exp(-t rₗ) dt / (rₖ rₗ)

The integral separates k from l, so that the pair table costs one matrix product per node of a
quadrature. The mean of second(i, i) / n is the upward bias of the distance.

Each image has pulled M towards itself, so the gradient at the sample overstates what leaving it
out would change: by second(i, i) / n, and with several images a prompt by all pairs inside it.
Without this the standard error is too large; what is left is measured by
``benchmarks/coverage.py``.

Where the two sets share no direction in which both vary (a generator that always draws one picture,
a reference of one picture) there is no root r: FD = |m1 - m2|² + tr S1 + tr S2, without a Hessian.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from dalle2eval.metrics.arrays import Floats
from dalle2eval.metrics.frechet import Moments, moments
from dalle2eval.metrics.kernel import Kernel, kernel_means
from dalle2eval.statistics.influence import NEGLIGIBLE, Influence, pair_rows
from dalle2eval.statistics.shared_prompts import same_prompt_sums

Groups = NDArray[np.intp]  # codes 0, 1, 2 … of the prompts

# Trapezoid in log t with this step has a relative error of 7e-4 for every sum of roots.
LOG_STEP = 1.0
LOG_BELOW, LOG_ABOVE = -8.0, 2.5  # exp(-e^-8) = 1 and exp(-e^2.5) = 5e-6: nothing is left outside


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Transport:
    """The spectrum of M and the generated rows in its basis."""

    roots: Floats  # r [k]
    rows: Floats  # z [n, k]
    centred: Floats  # c [n, d]


def frechet_influence(generated: Floats, reference: Floats, groups: Groups) -> Influence:
    """Return the influence of the Fréchet distance of [n, d], n > d, from reference [m, d]."""
    ours, theirs = moments(generated), moments(reference)
    transport = _transport(generated - ours.mean, ours, theirs)
    roots, z, c = transport.roots, transport.rows, transport.centred
    shift = ours.mean - theirs.mean
    traces = float(np.trace(ours.covariance) + np.trace(theirs.covariance))
    quadratic = (z * z) @ (1.0 / roots)
    gradient = 2.0 * c @ shift + (c * c).sum(axis=1) - quadratic
    first = gradient - _own_pull(transport, quadratic, groups) / len(c)
    chosen = pair_rows(groups)
    return Influence(
        value=max(0.0, float(shift @ shift) + traces - 2.0 * float(roots.sum())),
        first=first - first.mean(),
        groups=groups,
        second=_frechet_pairs(roots, z[chosen], c[chosen], quadratic[chosen]),
        rows=chosen,
    )


def frechet_bias(influence: Influence) -> float:
    """Return the estimated upward bias of a Fréchet distance at its n: mean second(i, i) / n."""
    assert influence.second is not None
    return float(np.trace(influence.second)) / len(influence.second) / len(influence.first)


def frechet_bias_of_seeds(influence: Influence) -> float | None:
    """Return the upward bias where prompts are fixed and only their seeds are drawn.

    Two images of one prompt tell how much of second(i, i) is the prompt's own, which the reference
    pictures of the same prompts share. None where no prompt has two images.
    """
    assert influence.second is not None
    assert influence.rows is not None
    codes = influence.groups[influence.rows]
    same = codes[:, None] == codes
    partners = same.sum(axis=1) - 1
    diagonal = np.diag(influence.second)
    kept = partners > 0
    if not kept.any():
        return None
    across = ((influence.second * same).sum(axis=1) - diagonal)[kept] / partners[kept]
    return float((diagonal[kept] - across).mean()) / len(influence.first)


def kernel_influence(
    generated: Floats, reference: Floats, groups: Groups, kernel: Kernel
) -> Influence:
    """Return the influence of unbiased MMD² of generated [n, d] from reference [m, d].

    first(i) = 2 (mean k(xᵢ, x) - mean k(xᵢ, y)) - Σⱼ second(i, j) / n over the other images j of
    i's prompt, centred; second(i, j) = k(xᵢ, xⱼ), centred twice. A pair of one prompt's images
    comes and goes with the prompt, once; the first term alone has it twice, once for each image.
    """
    means = kernel_means(generated, reference, kernel)
    pull = _kernel_pull(generated, groups, means.within, kernel)
    first = 2.0 * (means.within - means.across) - pull / len(generated)
    chosen = pair_rows(groups)
    rows, within = generated[chosen], means.within[chosen]
    return Influence(
        value=means.squared_distance,
        first=first - first.mean(),
        groups=groups,
        second=kernel(rows, rows) - within[:, None] - within + means.within.mean(),
        rows=chosen,
    )


def _kernel_pull(x: Floats, groups: Groups, within: Floats, kernel: Kernel) -> Floats:
    """Return, for each row [n], the sum of second(i, j) over the other rows j of its group."""
    mates = np.asarray(np.bincount(groups)[groups] - 1.0)
    if not mates.any():
        return mates
    pairs = same_prompt_sums(x, groups, x, groups, kernel, skip_self=True)
    of_mates = np.bincount(groups, weights=within)[groups] - within
    return np.asarray(pairs - of_mates - mates * (within - within.mean()))


def _transport(centred: Floats, ours: Moments, theirs: Moments) -> _Transport:
    factor = _factor(theirs.covariance)
    spectrum, vectors = linalg.eigh(factor.T @ ours.covariance @ factor)
    # Kept are directions in which both sets have spread. What M could hold, were they alike, is the
    # yardstick too: where they share no direction its largest eigenvalue is itself rounding.
    possible = ours.covariance.diagonal().max() * theirs.covariance.diagonal().max()
    kept = spectrum > max(spectrum[-1], possible) * NEGLIGIBLE
    return _Transport(
        roots=np.sqrt(spectrum[kept]),
        rows=np.asarray(centred @ (factor @ vectors[:, kept])),
        centred=centred,
    )


def _factor(covariance: Floats) -> Floats:
    """Return L with L Lᵀ = covariance, which may be singular."""
    try:
        return np.asarray(linalg.cholesky(covariance, lower=True))
    except linalg.LinAlgError:
        spectrum, vectors = linalg.eigh(covariance)
        return np.asarray(vectors * np.sqrt(spectrum.clip(min=0)))


def _nodes(roots: Floats) -> Floats:
    """Return the nodes t of the quadrature, none for no roots; each weighs t x LOG_STEP."""
    if not len(roots):
        return np.empty(0)
    start, stop = np.log(1.0 / roots[-1]) + LOG_BELOW, np.log(1.0 / roots[0]) + LOG_ABOVE
    return np.asarray(np.exp(np.arange(start, stop, LOG_STEP)))


def _frechet_pairs(roots: Floats, z: Floats, c: Floats, quadratic: Floats) -> Floats:
    """Return second(i, j) [s, s] of the Fréchet distance."""
    raw = np.zeros((len(z), len(z)))
    for t in _nodes(roots):
        weighted = z * np.sqrt(np.exp(-t * roots) / roots)
        raw += t * LOG_STEP * (weighted @ weighted.T) ** 2
    # The rest of the product: Σ wₖₖ rₖ² zₖ² = quadratic / 2 for each row, and Σ wₖₖ rₖ⁴ = Σ r / 2.
    centring = quadratic / 2.0
    hessian = raw - centring[:, None] - centring + roots.sum() / 2.0
    return np.asarray(c @ c.T + hessian / 2.0)


def _own_pull(transport: _Transport, quadratic: Floats, groups: Groups) -> Floats:
    """Return, for each row [n], the sum of second(i, j) over the rows j of its own group."""
    order, pull = np.argsort(groups, kind="stable"), np.zeros(len(groups))
    for lag in range(int(np.bincount(groups).max())):
        left, right = order[: len(order) - lag], order[lag:]
        same = groups[left] == groups[right]
        left, right = left[same], right[same]
        pairs = _second_of(transport, quadratic, left, right)
        pull[left] += pairs
        if lag:
            pull[right] += pairs
    return pull


def _second_of(
    transport: _Transport, quadratic: Floats, left: NDArray[np.intp], right: NDArray[np.intp]
) -> Floats:
    """Return second(i, j) of the pairs of rows (left, right) [p]."""
    roots, z, c = transport.roots, transport.rows, transport.centred
    nodes = _nodes(roots)
    weights = np.exp(-np.outer(roots, nodes)) / roots[:, None]
    raw = ((z[left] * z[right]) @ weights) ** 2 @ (nodes * LOG_STEP)
    hessian = raw - (quadratic[left] + quadratic[right]) / 2.0 + roots.sum() / 2.0
    return np.asarray((c[left] * c[right]).sum(axis=1) + hessian / 2.0)
