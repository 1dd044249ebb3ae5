"""Distances from reference pictures that were made for the same prompts."""

import numpy as np
import pytest

from dalle2eval.metrics import METRICS, frechet_distance
from dalle2eval.metrics.kernel import cubic_kernel, kernel_distance
from dalle2eval.records import SampleKey
from dalle2eval.statistics import Features, estimate_features
from dalle2eval.statistics.distance_influence import frechet_bias_of_seeds, frechet_influence
from dalle2eval.statistics.influence import influence_interval
from dalle2eval.statistics.shared_prompts import kernel_influence_between_prompts

D, PROMPTS = 6, 40


def world(rng, seeds, *, apart=0.0, spread=0.5):
    """Return (x, y, prompts): each prompt has a look of its own, which both sets share."""
    prompts = np.repeat(np.arange(PROMPTS), seeds)
    look = rng.standard_normal((PROMPTS, D))[prompts]
    x, y = (look + spread * rng.standard_normal(look.shape) for _ in range(2))
    return x + apart, y, prompts


def features(values, prompts, **kind):
    numbers = np.concatenate([np.arange(c) for c in np.bincount(prompts)])
    keys = tuple(
        SampleKey(prompt_id=f"p{p}", seed=int(s)) for p, s in zip(prompts, numbers, strict=True)
    )
    return Features(keys=keys, values=values, extractor="simulated", **kind)


def by_pairs(x, y, gx, gy):
    """The definition, pair by pair of prompts."""

    def mean(a, ga, b, gb):
        pairs = [
            cubic_kernel(a[[i]], b[[j]])[0, 0]
            for i in range(len(a))
            for j in range(len(b))
            if ga[i] != gb[j]
        ]
        return np.mean(pairs)

    return mean(x, gx, x, gx) + mean(y, gy, y, gy) - 2 * mean(x, gx, y, gy)


def test_kid_is_the_mean_over_pairs_of_different_prompts():
    rng = np.random.default_rng(0)
    gx, gy = np.array([0, 0, 1, 2, 2, 3]), np.array([0, 1, 1, 2, 4])
    x, y = rng.standard_normal((6, D)), rng.standard_normal((5, D))
    found = kernel_influence_between_prompts(x, y, gx, gy, cubic_kernel)
    assert found.value == pytest.approx(by_pairs(x, y, gx, gy), rel=1e-10)


@pytest.mark.parametrize("seeds", [1, 2])
def test_kid_of_two_sets_alike_is_zero_and_not_below_when_they_share_their_prompts(seeds):
    """The mistake: same-prompt pairs count across the sets, and hardly or not within them."""
    rng = np.random.default_rng(1)
    plain, shared, covered = [], [], []
    for _ in range(300):
        x, y, prompts = world(rng, seeds)
        plain.append(kernel_distance(x, y))
        found = kernel_influence_between_prompts(x, y, prompts, prompts, cubic_kernel)
        interval = influence_interval(found)
        shared.append(found.value)
        covered.append(interval.low <= 0 <= interval.high)
    error = np.std(shared) / np.sqrt(300)
    assert abs(np.mean(shared)) < 3 * error
    assert np.mean(plain) < -10 * error
    assert 0.91 <= np.mean(covered) <= 0.99


def test_kid_between_prompts_sees_what_differs_and_is_covered():
    rng = np.random.default_rng(2)
    truth, covered = [], []
    for _ in range(300):
        x, y, prompts = world(rng, 2, apart=0.5)
        found = kernel_influence_between_prompts(x, y, prompts, prompts, cubic_kernel)
        truth.append(found.value)
        covered.append(influence_interval(found))
    mean = np.mean(truth)
    assert mean > 0.5
    assert 0.91 <= np.mean([c.low <= mean <= c.high for c in covered]) <= 0.99


def test_the_bias_of_seeds_is_what_more_seeds_take_away():
    """Not that of new prompts: it can exceed the distance itself when the sets share them."""
    rng = np.random.default_rng(3)
    look, y = rng.standard_normal((PROMPTS, D)), rng.standard_normal((300, D))
    prompts = np.repeat(np.arange(PROMPTS), 2)

    def drawn(seeds):
        codes = np.repeat(np.arange(PROMPTS), seeds)
        return look[codes] + 0.5 * rng.standard_normal((len(codes), D))

    few = [drawn(2) for _ in range(200)]
    excess = np.mean([frechet_distance(x, y) for x in few]) - frechet_distance(drawn(2000), y)
    biases = [frechet_bias_of_seeds(frechet_influence(x, y, prompts)) for x in few]
    assert np.mean(biases) == pytest.approx(excess, rel=0.25)


def test_a_note_says_which_bias_it_means():
    rng = np.random.default_rng(4)
    notes = []
    for seeds, shared in ((2, True), (1, True), (2, False)):
        x, y, prompts = world(rng, seeds)
        real = features(y, prompts, shares_prompts=shared)
        notes.append(
            estimate_features(features(x, prompts), METRICS["fd_scenes"], reference=real).note
        )
    assert "bias of few seeds a prompt" in notes[0]
    assert "less than" in notes[1]
    assert "about" in notes[2]
    assert "bias of the sample size" in notes[2]


def test_a_slice_of_a_reference_set_still_shares_its_prompts():
    x, _, prompts = world(np.random.default_rng(5), 2)
    assert features(x, prompts, shares_prompts=True).pick([0, 3]).shares_prompts
