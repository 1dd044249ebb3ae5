"""Parity with other libraries on the same features.

Where two disagree, the test shows which is wrong: the definition, spelt out in numpy, decides.
"""

import numpy as np
import pytest
import scipy
import torch

from dalle2eval.metrics import (
    cmmd,
    frechet_distance,
    kernel_distance,
    moments,
    overlap,
    precision,
    recall,
    vendi_score,
)

SQRTM_HAS_DISP = tuple(int(part) for part in scipy.__version__.split(".")[:2]) < (1, 18)


@pytest.fixture(scope="module")
def sets():
    """Return correlated features of two unlike sets, [300, 40] each."""
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 40, 40))
    x = rng.standard_normal((300, 40)) @ (first + second / 3) / 6
    return np.maximum(x, 0), np.maximum(rng.standard_normal((300, 40)) @ first / 6 + 0.1, 0)


def four(x, y):
    a, b = moments(x), moments(y)
    return a.mean, a.covariance, b.mean, b.covariance


def test_fd_equals_torchmetrics(sets):
    from torchmetrics.image.fid import _compute_fid

    theirs = _compute_fid(*(torch.from_numpy(array) for array in four(*sets))).item()
    assert frechet_distance(*sets) == pytest.approx(theirs, rel=1e-9)


def test_fd_equals_torch_fidelity(sets):
    metric_fid = pytest.importorskip("torch_fidelity.metric_fid")
    statistics = [metric_fid.fid_features_to_statistics(torch.from_numpy(x)) for x in sets]
    theirs = metric_fid.fid_statistics_to_metric(*statistics, verbose=False)
    assert frechet_distance(*sets) == pytest.approx(theirs["frechet_inception_distance"], rel=1e-9)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_fd_equals_pytorch_fid_where_scipy_still_has_what_it_calls(sets):
    fid_score = pytest.importorskip("pytorch_fid.fid_score")
    if not SQRTM_HAS_DISP:
        with pytest.raises(TypeError, match="disp"):
            fid_score.calculate_frechet_distance(*four(*sets))
        return
    theirs = fid_score.calculate_frechet_distance(*four(*sets))
    assert frechet_distance(*sets) == pytest.approx(theirs, rel=1e-9)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_fd_equals_clean_fid_where_scipy_still_has_what_it_calls(sets):
    from cleanfid import fid

    if not SQRTM_HAS_DISP:
        with pytest.raises(TypeError, match="disp"):
            fid.frechet_distance(*four(*sets))
        return
    assert frechet_distance(*sets) == pytest.approx(fid.frechet_distance(*four(*sets)), rel=1e-9)


def test_of_few_images_torchmetrics_is_the_one_that_is_off(sets):
    """N < d: eigenvalues of S1 S2 that should be 0 are rounding noise whose roots add up.

    With orthogonal supports the exact answer is known: tr (S1 S2)^½ = 0.
    """
    from torchmetrics.image.fid import _compute_fid

    x, y = np.zeros((2, 30, 400))
    x[:, :200], y[:, 200:] = np.random.default_rng(1).standard_normal((2, 30, 200))
    mean_1, s1, mean_2, s2 = four(x, y)
    exact = ((mean_1 - mean_2) ** 2).sum() + np.trace(s1) + np.trace(s2)
    assert frechet_distance(x, y) == pytest.approx(exact, rel=1e-13)
    rng = np.random.default_rng(2)
    turn = np.linalg.qr(rng.standard_normal((400, 400)))[0]
    theirs = _compute_fid(*(torch.from_numpy(a) for a in four(x @ turn, y @ turn))).item()
    assert frechet_distance(x @ turn, y @ turn) == pytest.approx(exact, rel=1e-13)
    assert abs(theirs - exact) > 1e-8 * exact


def test_kid_equals_torchmetrics_over_one_subset_of_everything(sets):
    from torchmetrics.image.kid import poly_mmd

    x, y = (torch.from_numpy(side) for side in sets)
    assert kernel_distance(*sets) == pytest.approx(poly_mmd(y, x).item(), rel=1e-9)


def test_kid_equals_torch_fidelity_and_clean_fid_over_one_subset(sets):
    from cleanfid import fid

    metric_kid = pytest.importorskip("torch_fidelity.metric_kid")
    ours = kernel_distance(*sets)
    assert fid.kernel_distance(*sets, num_subsets=1) == pytest.approx(ours, rel=1e-9)
    x, y = sets
    kernels = [(a @ b.T / 40 + 1) ** 3 for a, b in ((x, x), (x, y), (y, y))]
    assert metric_kid.mmd2(*kernels) == pytest.approx(ours, rel=1e-9)


def test_random_subsets_scatter_around_the_kid_of_all_pairs(sets):
    """What others print is ours plus the noise of the subsets they drew."""
    from cleanfid import fid

    np.random.seed(0)  # noqa: NPY002 (clean-fid draws from the global generator)
    draws = [fid.kernel_distance(*sets, num_subsets=5, max_subset_size=60) for _ in range(60)]
    assert np.mean(draws) == pytest.approx(kernel_distance(*sets), abs=4 * np.std(draws) / 60**0.5)
    assert np.std(draws) > 0.02 * abs(kernel_distance(*sets))


def test_overlap_equals_prdc(sets):
    prdc = pytest.importorskip("prdc")
    theirs = prdc.compute_prdc(real_features=sets[1], fake_features=sets[0], nearest_k=5)
    ours = overlap(*sets)
    for name in ("precision", "recall", "density", "coverage"):
        assert getattr(ours, name).mean() == pytest.approx(theirs[name], abs=1e-12)


def test_precision_and_recall_equal_torch_fidelity_the_same_way_round(sets):
    metric_prc = pytest.importorskip("torch_fidelity.metric_prc")
    collapsed = sets[0] * 0.5  # so that an exchange shows
    x, y = (torch.from_numpy(side) for side in (collapsed, sets[1]))
    theirs = metric_prc.calculate_precision_recall_full(x, y, neighborhood=5)
    assert (precision(collapsed, sets[1]), recall(collapsed, sets[1])) == pytest.approx(theirs)
    assert theirs[0] != pytest.approx(theirs[1], abs=0.05)


def test_vendi_equals_vendi_score(sets):
    vendi = pytest.importorskip("vendi_score.vendi")
    ours = vendi_score(sets[0])
    assert vendi.score_dual(sets[0]) == pytest.approx(ours, rel=1e-9)
    assert vendi.score_X(sets[0][:30]) == pytest.approx(vendi_score(sets[0][:30]), rel=1e-9)


def test_cmmd_equals_torch_fidelity_and_the_published_code_is_the_biased_one(sets):
    """The published recipe keeps i = j: it is too high by about 2 (1 - mean k) / n of each set."""
    metric_kid = pytest.importorskip("torch_fidelity.metric_kid")
    x, y = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in sets)
    unbiased = metric_kid.kernel_mmd(x, y, kid_kernel="rbf", kid_kernel_rbf_sigma=10.0)
    assert cmmd(*sets) == pytest.approx(1000 * unbiased, rel=1e-9)
    squared = [((a[:, None] - b) ** 2).sum(axis=2) for a, b in ((x, x), (x, y), (y, y))]
    within, across, reference = (np.exp(-table / 200).mean() for table in squared)
    published = 1000 * (within + reference - 2 * across)
    excess = 1000 * (2 - within - reference) / 299
    assert published - cmmd(*sets) == pytest.approx(excess, rel=1e-6)


@pytest.mark.parametrize("metric", [kernel_distance, cmmd])
def test_float32_products_keep_the_number_to_five_digits(sets, metric):
    """Far from the origin too: rows are centred before they are rounded."""
    single = [(side + 20).astype(np.float32) for side in sets]
    double = [side.astype(np.float64) for side in single]
    assert metric(*single) == pytest.approx(metric(*double), rel=1e-5)


def test_float32_neighbours_are_those_of_float64(sets):
    single = [side.astype(np.float32) for side in sets]
    double = [side.astype(np.float64) for side in single]
    for name in ("precision", "recall", "density", "coverage"):
        ours, exact = getattr(overlap(*single), name), getattr(overlap(*double), name)
        assert ours.mean() == pytest.approx(exact.mean(), abs=1e-12)
