"""Distances from reference pictures of the same prompts: only pairs of different prompts count.

A run's reference pictures are drawn for the prompts that the model was asked for. Two images of one
prompt are then no independent draws, whichever set they are in. The usual unbiased MMD² counts such
pairs 1 in P times across the sets (P prompts), but within a set less often or, with one image
a prompt, never: it falls below zero where the two sets are alike. Here a prompt is the draw, with
its generated images x and its reference pictures y, and MMD² is a U-statistic over prompts
(Hoeffding 1948; Gretton et al. 2012, Eq. 4, is the case of one image each) with the kernel

    h(p, q) = k(xₚ, x_q) - k(xₚ, y_q) - k(yₚ, x_q) + k(yₚ, y_q),    p ≠ q,

unbiased for new prompts. Its intervals are narrower too: a hard prompt is hard for both sets.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dalle2eval.metrics.arrays import Floats
from dalle2eval.metrics.kernel import Kernel, kernel_means
from dalle2eval.statistics.influence import Influence, pair_rows

Codes = NDArray[np.intp]  # a number for each prompt, the same in both sets


def kernel_influence_between_prompts(
    generated: Floats, reference: Floats, groups: Codes, reference_groups: Codes, kernel: Kernel
) -> Influence:
    """Return the influence of MMD² over pairs of different prompts.

    Args:
        generated: [n, d], of two prompts or more.
        reference: [m, d], of two prompts or more.
        groups: [n], 0, 1, 2 … the prompt of each generated row.
        reference_groups: [m], the prompt of each reference row, numbered likewise; prompts without
            generated images come after those with.
        kernel: of rows.
    """
    x, y, gx, gy = generated, reference, groups, reference_groups
    own, theirs = kernel_means(x, y, kernel), kernel_means(y, x, kernel)
    n, m = len(x), len(y)
    sums = {
        "xx": own.within * (n - 1) - same_prompt_sums(x, gx, x, gx, kernel, skip_self=True),
        "xy": own.across * m - same_prompt_sums(x, gx, y, gy, kernel),
        "yx": theirs.across * n - same_prompt_sums(y, gy, x, gx, kernel),
        "yy": theirs.within * (m - 1) - same_prompt_sums(y, gy, y, gy, kernel, skip_self=True),
    }
    size = max(gx.max(), gy.max()) + 1
    nx, ny = np.bincount(gx, minlength=size), np.bincount(gy, minlength=size)
    pairs = {"xx": n - nx[gx], "xy": m - ny[gx], "yx": n - nx[gy], "yy": m - ny[gy]}
    means = {name: sums[name] / np.maximum(pairs[name], 1) for name in sums}
    value = (
        sums["xx"].sum() / pairs["xx"].sum()
        + sums["yy"].sum() / pairs["yy"].sum()
        - 2.0 * sums["xy"].sum() / pairs["xy"].sum()
    )
    first = 2.0 * (means["xx"] - means["xy"])
    first += _prompt_means(2.0 * (means["yy"] - means["yx"]), gy, gx)
    chosen = pair_rows(groups)
    return Influence(
        value=float(value),
        first=first - first.mean(),
        groups=groups,
        second=_second(x[chosen], gx[chosen], y, gy, kernel),
        rows=chosen,
    )


def same_prompt_sums(
    rows: Floats,
    groups: Codes,
    others: Floats,
    their_groups: Codes,
    kernel: Kernel,
    *,
    skip_self: bool = False,
) -> Floats:
    """Return [n]: each row's sum of kernel values with the others of its own prompt."""
    found = np.zeros(len(rows))
    theirs = _rows_by_prompt(their_groups)
    for prompt, mine in _rows_by_prompt(groups).items():
        if prompt not in theirs:
            continue
        values = kernel(rows[mine], others[theirs[prompt]])
        found[mine] = values.sum(axis=1) - (np.diag(values) if skip_self else 0.0)
    return found


def _rows_by_prompt(groups: Codes) -> dict[int, Codes]:
    order = np.argsort(groups, kind="stable")
    prompts, starts = np.unique(groups[order], return_index=True)
    return dict(zip(prompts.tolist(), np.split(order, starts[1:]), strict=True))


def _prompt_means(values: Floats, groups: Codes, wanted: Codes) -> Floats:
    """Return, for each prompt number in ``wanted``, its mean value; the overall mean if none."""
    size = max(groups.max(), wanted.max()) + 1
    counts = np.bincount(groups, minlength=size)
    sums = np.bincount(groups, weights=values, minlength=size)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), values.mean())
    return np.asarray(means[wanted])


def _second(x: Floats, gx: Codes, y: Floats, gy: Codes, kernel: Kernel) -> Floats:
    """Return h(i, j) of the rows x [s, d], each with its prompt's reference rows, centred twice."""
    prompts, place = np.unique(gx, return_inverse=True)
    kept = np.isin(gy, prompts)
    y, gy = y[kept], np.searchsorted(prompts, gy[kept])
    counts = np.bincount(gy, minlength=len(prompts))
    weights = np.zeros((len(prompts), len(y)))
    weights[gy, np.arange(len(y))] = 1.0 / np.maximum(counts, 1)[gy]
    across = (kernel(x, y) @ weights.T)[:, place]
    there = (weights @ kernel(y, y) @ weights.T)[np.ix_(place, place)]
    table = kernel(x, x) - across - across.T + there
    rows = table.mean(axis=1)
    return np.asarray(table - rows[:, None] - rows + rows.mean())
