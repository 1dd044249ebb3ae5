"""The peers of benchmarks/metrics.py: each called as its own users call it, on the same features.

And the definitions, spelt out in float64, that decide which of two answers is closer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from scipy import linalg

from dalle2eval.metrics import Moments

Table = NDArray[np.float32]
Wide = NDArray[np.float64]
SUBSETS, SUBSET_SIZE = 100, 1000  # the defaults of torchmetrics, torch-fidelity and clean-fid
SQRTM_HAS_DISP = tuple(int(part) for part in scipy.__version__.split(".")[:2]) < (1, 18)


def scipy_sqrtm(a: Moments, b: Moments) -> float:
    """Return the Fréchet distance as pytorch-fid, clean-fid and EDM2 compute it."""
    shift = a.mean - b.mean
    root = linalg.sqrtm(a.covariance @ b.covariance)
    traces = np.trace(a.covariance) + np.trace(b.covariance)
    return float(shift @ shift + traces - 2 * np.trace(np.asarray(root).real))


def torchmetrics_fid(a: Moments, b: Moments) -> float:
    """Return the Fréchet distance of torchmetrics."""
    from torchmetrics.image.fid import _compute_fid

    arrays = (a.mean, a.covariance, b.mean, b.covariance)
    return float(_compute_fid(*(torch.from_numpy(array) for array in arrays)))


def torch_fidelity_fid(a: Moments, b: Moments) -> float:
    """Return the Fréchet distance of torch-fidelity."""
    from torch_fidelity.metric_fid import fid_statistics_to_metric

    sides = [{"mu": side.mean, "sigma": side.covariance} for side in (a, b)]
    return float(fid_statistics_to_metric(*sides, verbose=False)["frechet_inception_distance"])


def by_cov(fid: Callable[[Moments, Moments], float]) -> Callable[[Table, Table], float]:
    """Return a distance of features through `numpy.cov`, as the libraries take their moments."""

    def distance(x: Table, y: Table) -> float:
        sides = [
            Moments(
                mean=z.mean(axis=0, dtype=np.float64), covariance=np.cov(z, rowvar=False), n=len(z)
            )
            for z in (x, y)
        ]
        return fid(*sides)

    return distance


def torchmetrics_streaming(x: Table, y: Table) -> float:
    """Return the Fréchet distance as torchmetrics adds it up, in batches of 500."""
    sides = []
    for table in (x, y):
        total = torch.zeros(table.shape[1], dtype=torch.float64)
        products = torch.zeros(table.shape[1], table.shape[1], dtype=torch.float64)
        for batch in torch.from_numpy(table).split(500):
            rows = batch.double()
            total += rows.sum(dim=0)
            products += rows.t().mm(rows)
        mean, n = total / len(table), len(table)
        covariance = (products - n * torch.outer(mean, mean)) / (n - 1)
        sides.append(Moments(mean=mean.numpy(), covariance=covariance.numpy(), n=n))
    return torchmetrics_fid(*sides)


def clean_fid_kid(x: Table, y: Table) -> float:
    """Return clean-fid's KID: random subsets."""
    from cleanfid.fid import kernel_distance

    return float(kernel_distance(x, y, num_subsets=SUBSETS, max_subset_size=_subset(x)))


def torch_fidelity_kid(x: Table, y: Table) -> float:
    """Return torch-fidelity's KID: random subsets."""
    from torch_fidelity.metric_kid import kid_features_to_metric

    found = kid_features_to_metric(
        *(torch.from_numpy(z) for z in (x, y)),
        kid_subsets=SUBSETS,
        kid_subset_size=_subset(x),
        kid_kernel="poly",
        kid_kernel_poly_degree=3,
        kid_kernel_poly_gamma=None,
        kid_kernel_poly_coef0=1,
        rng_seed=0,
        verbose=False,
    )
    return float(found["kernel_inception_distance_mean"])


def torchmetrics_kid(x: Table, y: Table) -> float:
    """Return torchmetrics' KID: random subsets, as its `compute` draws them."""
    from torchmetrics.image.kid import poly_mmd

    sides, values = [torch.from_numpy(z) for z in (y, x)], []
    for _ in range(SUBSETS):
        draws = [side[torch.randperm(len(side))[: _subset(x)]] for side in sides]
        values.append(poly_mmd(*draws))
    return float(torch.stack(values).mean())


def _subset(x: Table) -> int:
    return min(SUBSET_SIZE, len(x))


def prdc_recall(x: Table, y: Table) -> float:
    """Return the recall of prdc, which computes all four."""
    from prdc import compute_prdc

    return float(compute_prdc(real_features=y, fake_features=x, nearest_k=5)["recall"])


def torch_fidelity_recall(x: Table, y: Table) -> float:
    """Return the recall of torch-fidelity, which computes precision and recall only."""
    from torch_fidelity.metric_prc import calculate_precision_recall_full

    sides = (torch.from_numpy(z) for z in (x, y))
    return float(calculate_precision_recall_full(*sides, neighborhood=5)[1])


def vendi_package(x: Table, _: Table) -> float:
    """Return vendi-score's number by the smaller of its two routes, in float64."""
    from vendi_score import vendi

    route = vendi.score_X if len(x) <= x.shape[1] else vendi.score_dual
    return float(route(x.astype(np.float64)))


def vendi_package_single(x: Table, _: Table) -> float:
    """Return vendi-score's number by the smaller of its two routes, in float32."""
    from vendi_score import vendi

    return float((vendi.score_X if len(x) <= x.shape[1] else vendi.score_dual)(x))


def published_cmmd(x: Table, y: Table) -> float:
    """Return CMMD by the published recipe: whole float32 kernels, biased (arXiv 2401.09603)."""
    a, b = (torch.from_numpy(z / np.linalg.norm(z, axis=1, keepdims=True)) for z in (x, y))
    gamma = 1 / (2 * 10.0**2)

    def mean_kernel(p: Any, q: Any) -> Any:
        lengths = (p * p).sum(1)[:, None] + (q * q).sum(1)[None]
        return torch.exp(-gamma * (lengths - 2 * p @ q.T)).mean()

    return float(1000 * (mean_kernel(a, a) + mean_kernel(b, b) - 2 * mean_kernel(a, b)))


PEERS: dict[str, dict[str, Callable[..., float]]] = {
    "fd-moments": {
        "scipy sqrtm": scipy_sqrtm,
        "torchmetrics": torchmetrics_fid,
        "torch-fidelity": torch_fidelity_fid,
    },
    "fd": {
        "scipy sqrtm": by_cov(scipy_sqrtm),
        "torchmetrics": torchmetrics_streaming,
        "torch-fidelity": by_cov(torch_fidelity_fid),
    },
    "kid": {
        "clean-fid": clean_fid_kid,
        "torch-fidelity": torch_fidelity_kid,
        "torchmetrics": torchmetrics_kid,
    },
    "prdc": {"prdc": prdc_recall, "torch-fidelity (P, R only)": torch_fidelity_recall},
    "vendi": {"vendi-score": vendi_package, "vendi-score, float32": vendi_package_single},
    "cmmd": {"published recipe": published_cmmd},
}


def exact_fd(p: Wide, q: Wide) -> float:
    """Return the Fréchet distance by singular values of the product of the two factors."""
    a, b = ((z - z.mean(axis=0)) / np.sqrt(len(z) - 1) for z in (p, q))
    r = [z if len(z) < z.shape[1] else np.linalg.qr(z, mode="r") for z in (a, b)]
    nuclear = linalg.svdvals(r[0] @ r[1].T).sum()
    shift = p.mean(axis=0) - q.mean(axis=0)
    return float(shift @ shift + np.vdot(a, a) + np.vdot(b, b) - 2 * nuclear)


def exact_kid(p: Wide, q: Wide) -> float:
    """Return KID over all pairs."""
    return _mmd(lambda a, b: (a @ b.T / a.shape[1] + 1) ** 3, p, q)


def exact_cmmd(p: Wide, q: Wide) -> float:
    """Return the unbiased CMMD."""
    p, q = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (p, q))
    return 1000 * _mmd(_gaussian, p, q)


def exact_vendi(p: Wide, _: Wide) -> float:
    """Return the Vendi score by singular values of the rows."""
    rows = p / np.linalg.norm(p, axis=1, keepdims=True)
    spectrum = np.linalg.svd(rows, compute_uv=False) ** 2 / len(rows)
    spectrum = spectrum[spectrum > 0]
    return float(np.exp(-(spectrum * np.log(spectrum)).sum()))


def exact_recall(p: Wide, q: Wide) -> float:
    """Return the share of reference rows inside a ball of 5 neighbours of a generated row."""
    own = _squared(p, p)
    np.fill_diagonal(own, np.inf)
    radii = np.partition(own, 4, axis=1)[:, 4]
    return float((_squared(q, p) <= radii).any(axis=1).mean())


EXACT: dict[str, Callable[[Wide, Wide], float]] = {
    "fd": exact_fd,
    "kid": exact_kid,
    "prdc": exact_recall,
    "vendi": exact_vendi,
    "cmmd": exact_cmmd,
}


def exact_value(name: str, x: Table, y: Table) -> float:
    """Return the definition in float64, by another route than ours where there is one."""
    return EXACT[name](x.astype(np.float64), y.astype(np.float64))


def _squared(a: Wide, b: Wide) -> Wide:
    return np.asarray((a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2 * a @ b.T)


def _gaussian(a: Wide, b: Wide) -> Wide:
    return np.asarray(np.expm1(_squared(a, b) / -200))


def _mmd(kernel: Callable[[Wide, Wide], Wide], x: Wide, y: Wide) -> float:
    """Return unbiased MMD², 500 rows at a time."""

    def total(a: Wide, b: Wide) -> float:
        return sum(float(kernel(a[i : i + 500], b).sum()) for i in range(0, len(a), 500))

    def own(a: Wide) -> float:
        diagonal = sum(float(kernel(row[None], row[None])[0, 0]) for row in a)
        return (total(a, a) - diagonal) / (len(a) * (len(a) - 1))

    return own(x) + own(y) - 2 * total(x, y) / (len(x) * len(y))
