"""Fréchet distance: known answers, argument convention, both routes."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import linalg

from dalle2eval.metrics import frechet as module
from dalle2eval.metrics import (
    frechet_distance,
    frechet_distance_from_moments,
    kernel_distance,
    moments,
    precision,
)
from dalle2eval.records import InputError


def gaussian(n, d, seed):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) + rng.standard_normal(d)


def exactly(mean, covariance, n, seed):
    """Return n points whose sample mean and covariance are exactly these."""
    x = np.random.default_rng(seed).standard_normal((n, len(mean)))
    x -= x.mean(axis=0)
    whitened = x @ np.linalg.inv(linalg.cholesky(np.cov(x, rowvar=False), lower=True)).T
    return whitened @ linalg.cholesky(covariance, lower=True).T + mean


@pytest.mark.parametrize("n", [200, 30])
def test_a_set_has_distance_zero_from_itself(n):
    x = gaussian(n, 64, 0)
    assert 0 <= frechet_distance(x, x) <= 1e-9 * np.trace(np.cov(x, rowvar=False))


def test_commuting_gaussians_have_the_analytic_distance():
    d, rng = 12, np.random.default_rng(1)
    basis = linalg.qr(rng.standard_normal((d, d)))[0]
    first, second = rng.uniform(0.1, 9, d), rng.uniform(0.1, 9, d)
    m1, m2 = rng.standard_normal(d), rng.standard_normal(d)
    x = exactly(m1, basis * first @ basis.T, 100, 2)
    y = exactly(m2, basis * second @ basis.T, 80, 3)
    expected = ((m1 - m2) ** 2).sum() + ((np.sqrt(first) - np.sqrt(second)) ** 2).sum()
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("n", [100, 8])
def test_a_shift_adds_its_squared_length(n):
    x = gaussian(n, 16, 4)
    shift = np.arange(16.0)
    assert frechet_distance(x + shift, x) == pytest.approx((shift**2).sum(), rel=1e-8)


def test_the_route_for_few_images_equals_the_route_for_many(monkeypatch):
    x, y = gaussian(90, 20, 5), gaussian(60, 20, 6)
    by_cholesky = frechet_distance(x, y)
    monkeypatch.setattr(module, "_root_trace", lambda s1, s2: None)
    assert frechet_distance(x, y) == pytest.approx(by_cholesky, rel=1e-11)


def test_few_images_agree_with_the_definition():
    """The textbook formula by a general eigenvalue solver, good to 1e-6 here."""
    x, y = gaussian(15, 40, 7), gaussian(60, 40, 8)
    s1, s2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    roots = np.sqrt(np.linalg.eigvals(s1 @ s2).astype(complex)).real.sum()
    shift = x.mean(0) - y.mean(0)
    expected = shift @ shift + np.trace(s1) + np.trace(s2) - 2 * roots
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-5)


def test_dead_features_do_not_add_rounding_noise():
    x, y = gaussian(200, 30, 9), gaussian(200, 30, 10)
    dead = np.zeros((200, 10))
    expected = frechet_distance(x, y)
    with_dead = frechet_distance(np.hstack([x, dead]), np.hstack([y, dead]))
    assert with_dead == pytest.approx(expected, rel=1e-10)


def test_moments_give_the_same_distance_also_when_singular():
    x, y = gaussian(90, 20, 11), gaussian(60, 20, 12)
    assert frechet_distance_from_moments(moments(x), moments(y)) == pytest.approx(
        frechet_distance(x, y), rel=1e-12
    )
    few = x[:10]
    assert frechet_distance_from_moments(moments(few), moments(y)) == pytest.approx(
        frechet_distance(few, y), rel=1e-6
    )


def test_float32_features_are_computed_in_float64():
    x, y = (gaussian(300, 32, seed).astype(np.float32) for seed in (13, 14))
    assert frechet_distance(x, y) == frechet_distance(x.astype(float), y.astype(float))


def test_messages_name_the_side_that_is_wrong():
    x = gaussian(10, 4, 15)
    with pytest.raises(InputError, match="generated features are 4 wide, reference features 3"):
        frechet_distance(x, x[:, :3])
    with pytest.raises(InputError, match="reference: needs at least 2 images, got 1"):
        frechet_distance(x, x[:1])
    broken = x.copy()
    broken[3, 1] = np.nan
    with pytest.raises(InputError, match="generated: row 3 is not finite"):
        frechet_distance(broken, x)
    with pytest.raises(
        InputError, match=r"reference: expected features \[n, d\], got shape \[10\]"
    ):
        frechet_distance(x, x[:, 0])


@pytest.mark.parametrize(
    ("scale", "dtype", "limit"),
    [(1e160, float, "1e+45"), (1e60, float, "1e+45"), (1e20, np.float32, "1e+15")],
)
@pytest.mark.parametrize("metric", [frechet_distance, kernel_distance, precision])
def test_features_that_overflow_are_no_perfect_distance(metric, scale, dtype, limit):
    """The Fréchet distance came out as 0.0, for max(0.0, nan) is 0.0; KID as nan."""
    x = (np.random.default_rng(0).standard_normal((40, 4)) * scale).astype(dtype)
    with pytest.raises(InputError, match="generated: row 0 is too large") as told:
        metric(x, x + x)
    assert f"at most {limit}" in str(told.value)


@pytest.mark.parametrize("part", ["mean", "covariance"])
def test_moments_that_are_not_finite_are_no_perfect_distance(part):
    good = moments(np.random.default_rng(0).standard_normal((40, 4)))
    bad = replace(good, **{part: getattr(good, part) * np.nan})
    with pytest.raises(InputError, match="reference: mean or covariance is not finite"):
        frechet_distance_from_moments(good, bad)


def test_complex_features_are_refused_not_cut_to_their_real_part():
    with pytest.raises(InputError, match="expected a table of numbers"):
        frechet_distance(np.ones((3, 2)) * 1j, np.ones((3, 2)))
