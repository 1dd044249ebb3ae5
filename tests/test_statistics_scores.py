"""Intervals and comparisons of per-image scores: clusters, unscored samples, verdicts."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from dalle2eval.metrics import get_metric
from dalle2eval.records import InputError, NotComparable, SampleKey, Score
from dalle2eval.statistics import (
    Arms,
    benjamini_hochberg,
    compare_scores,
    estimate_scores,
    holm,
    wilson_interval,
)
from dalle2eval.statistics.intervals import as_clusters, cluster_bootstrap_interval
from dalle2eval.statistics.paired import mcnemar_exact, newcombe_interval, sign_flip_test

CLIP = get_metric("clip_score")
SHAPE = get_metric("composition.object")
CER = get_metric("text.cer")
ARMS = Arms(arm="new", reference="old")


def scores(metric, table):
    """Return scores of a table [prompts, seeds]; NaN stands for unscored."""
    return [
        Score(
            key=SampleKey(prompt_id=f"p{p}", seed=s),
            metric=metric.name,
            value=None if np.isnan(value) else float(value),
            reason="unreadable" if np.isnan(value) else None,
        )
        for p, row in enumerate(np.atleast_2d(table))
        for s, value in enumerate(np.atleast_1d(row))
    ]


def column(values):
    return np.asarray(values, dtype=float)[:, None]


def test_wilson_matches_published_numbers():
    """Newcombe (1998), Table I, method 3: 81/263, 15/148, 0/20, 1/29."""
    for successes, n, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        interval = wilson_interval(successes, n)
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)


def test_a_perfect_score_does_not_claim_certainty():
    estimate = estimate_scores(scores(SHAPE, column(np.ones(40))), SHAPE)
    assert (estimate.value, estimate.high, estimate.method) == (1.0, 1.0, "wilson")
    assert estimate.low == pytest.approx(0.9124, abs=1e-4)


def test_copies_of_one_prompt_do_not_shrink_the_interval():
    """Ten equal seeds a prompt carry no more than one: the interval must not be that of 400."""
    passed = (np.arange(40) % 2).astype(float)
    once = estimate_scores(scores(SHAPE, column(passed)), SHAPE)
    tenfold = estimate_scores(scores(SHAPE, np.repeat(column(passed), 10, axis=1)), SHAPE)
    assert tenfold.n == 400
    assert tenfold.method == "clustered-wilson"
    assert tenfold.high - tenfold.low >= once.high - once.low
    all_pass = estimate_scores(scores(SHAPE, np.ones((40, 10))), SHAPE)
    assert all_pass.low < 0.92


def test_copies_of_one_prompt_do_not_shrink_the_bootstrap():
    values = np.random.default_rng(0).gamma(2.0, size=(50, 1))
    once = estimate_scores(scores(CLIP, values), CLIP)
    tenfold = estimate_scores(scores(CLIP, np.repeat(values, 10, axis=1)), CLIP)
    assert tenfold.high - tenfold.low == pytest.approx(once.high - once.low, rel=1e-9)


def test_the_unscored_are_counted_and_never_averaged():
    table = np.array([[1.0, np.nan], [3.0, 4.0], [np.nan, np.nan]])
    estimate = estimate_scores(scores(CLIP, table), CLIP, slice="word")
    assert (estimate.n, estimate.num_unscored, estimate.slice) == (3, 3, "word")
    assert estimate.value == pytest.approx(8 / 3)


def test_nothing_scored_is_unknown_with_the_reason_not_zero():
    estimate = estimate_scores(scores(CLIP, [[np.nan], [np.nan]]), CLIP)
    assert estimate.value is None
    assert estimate.num_unscored == 2
    assert estimate.reason == "no image was scored: unreadable"
    assert estimate_scores([], CLIP).reason == "no image was scored"


def test_one_prompt_gives_no_interval_and_so_no_number():
    estimate = estimate_scores(scores(CLIP, [[1.0, 2.0, 3.0]]), CLIP)
    assert estimate.value is None
    assert "two prompts" in estimate.reason


def test_the_bootstrap_is_the_same_at_every_call():
    clusters = as_clusters(np.random.default_rng(1).random(60), np.arange(60) // 2)
    assert cluster_bootstrap_interval(clusters, seed=5) == cluster_bootstrap_interval(
        clusters, seed=5
    )
    assert cluster_bootstrap_interval(clusters, seed=5) != cluster_bootstrap_interval(
        clusters, seed=6
    )


def test_bca_leans_towards_the_long_tail():
    """Symmetric intervals miss a skewed mean on one side; BCa reaches further up."""
    values = np.random.default_rng(2).exponential(size=40)
    interval = cluster_bootstrap_interval(as_clusters(values, np.arange(40)))
    assert interval.high - values.mean() > 1.1 * (values.mean() - interval.low)


@pytest.mark.parametrize("num_prompts", [20, 80])
def test_clustered_means_are_covered(num_prompts):
    """Seeds of a prompt share its difficulty; 300 simulated runs."""
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(300):
        sizes = rng.integers(1, 5, num_prompts)
        codes = np.repeat(np.arange(num_prompts), sizes)
        values = rng.gamma(2.0, size=num_prompts)[codes] + rng.standard_normal(len(codes)) / 2
        interval = cluster_bootstrap_interval(as_clusters(values, codes), resamples=400)
        hits += interval.low <= 2.0 <= interval.high
    assert 0.92 <= hits / 300 <= 0.98


def test_scores_of_another_metric_are_refused():
    with pytest.raises(InputError, match=r"expected scores of composition\.object, got one of cl"):
        estimate_scores(scores(CLIP, [[1.0], [0.0]]), SHAPE)
    with pytest.raises(InputError, match=r"pass/fail: 0 or 1, got 0\.5"):
        estimate_scores(scores(SHAPE, [[1.0], [0.5]]), SHAPE)


def test_the_sign_is_arm_minus_reference_and_the_verdict_knows_the_direction():
    rng = np.random.default_rng(4)
    base = rng.random((60, 2))
    higher = base + 1 + rng.random((60, 2)) / 10
    result = compare_scores(scores(CLIP, higher), scores(CLIP, base), CLIP, arms=ARMS)
    assert (result.arm, result.reference, result.verdict) == ("new", "old", "better")
    assert result.difference == pytest.approx(1.05, abs=0.02)
    assert result.low < result.difference < result.high
    worse = compare_scores(scores(CER, higher), scores(CER, base), CER, arms=ARMS)
    assert worse.verdict == "worse"
    neutral = replace(CLIP, higher_is_better=None)
    lower = compare_scores(scores(CLIP, base), scores(CLIP, higher), neutral, arms=ARMS)
    assert lower.verdict == "lower"


def test_pairing_finds_what_unpaired_intervals_hide():
    rng = np.random.default_rng(5)
    base = 10 * rng.standard_normal((80, 1))
    shifted = base + 0.2 + 0.1 * rng.standard_normal((80, 1))
    result = compare_scores(scores(CLIP, shifted), scores(CLIP, base), CLIP, arms=ARMS)
    assert result.verdict == "better"
    single = estimate_scores(scores(CLIP, base), CLIP)
    assert (single.high - single.low) > 20 * (result.high - result.low)


def test_only_images_scored_in_both_arms_are_paired():
    new = scores(CLIP, [[1.0], [5.0], [np.nan], [9.0]])
    old = scores(CLIP, [[0.0], [3.0], [100.0]])
    result = compare_scores(new, old, CLIP, arms=ARMS)
    assert (result.n_pairs, result.difference) == (2, 1.5)


def test_arms_without_a_shared_image_are_refused():
    new = scores(CLIP, [[1.0], [2.0]])
    old = [replace(score, key=SampleKey(prompt_id=score.key.prompt_id, seed=9)) for score in new]
    with pytest.raises(NotComparable, match="share no prompt and seed"):
        compare_scores(new, old, CLIP, arms=ARMS)


def test_an_arm_that_could_not_be_scored_is_not_called_equal():
    new, old = scores(CLIP, [[np.nan], [np.nan]]), scores(CLIP, [[1.0], [2.0]])
    result = compare_scores(new, old, CLIP, arms=ARMS)
    assert (result.verdict, result.difference) == ("not compared", None)
    assert result.reason


def test_mcnemar_is_the_exact_binomial_test():
    for b, c in [(0, 5), (3, 9), (1, 1), (10, 25)]:
        assert mcnemar_exact(b, c) == pytest.approx(stats.binomtest(b, b + c).pvalue)
    assert mcnemar_exact(0, 0) == 1.0


def test_newcombe_matches_the_published_example():
    """Newcombe (1998), Statistics in Medicine 17:2635, Table III: 36 of 50 pairs agree."""
    interval = newcombe_interval(20, 12, 2, 16)
    assert (interval.low, interval.high) == pytest.approx((0.0562, 0.3292), abs=1e-4)


def test_four_discordant_prompts_are_no_evidence():
    """4 : 0 has p = 0.125, where an interval by t would already exclude 0."""
    new, old = np.ones((160, 1)), np.ones((160, 1))
    old[:4] = 0
    result = compare_scores(scores(SHAPE, new), scores(SHAPE, old), SHAPE, arms=ARMS)
    assert (result.method, result.p_value) == ("mcnemar", 0.125)
    assert result.verdict == "no difference found"
    assert result.low <= 0 < result.high
    wide = [scores(SHAPE, np.repeat(table, 3, axis=1)) for table in (new, old)]
    clustered = compare_scores(*wide, SHAPE, arms=ARMS)
    assert (clustered.method, clustered.p_value) == ("sign-flip", 0.125)
    assert clustered.verdict == "no difference found"


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_equal_prompts_do_not_prove_that_nothing_differs(share):
    """With two seeds a prompt the interval was [0, 0]; with one it was 11 to 19 points wide."""
    table = np.zeros((16, 1))
    table[: int(16 * share)] = 1
    single, *several = (
        compare_scores(scores(SHAPE, wide), scores(SHAPE, wide), SHAPE, arms=ARMS)
        for wide in (np.repeat(table, seeds, axis=1) for seeds in (1, 2, 4))
    )
    assert single.low < -0.1 < 0.1 < single.high
    for result in several:
        assert result.difference == 0
        assert (result.low, result.high) == pytest.approx((single.low, single.high))


def test_intervals_of_few_differing_prompts_cover():
    """One prompt in twenty differs: t knows nothing of the prompts that it has not seen."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(400):
        passes = rng.random((40, 1)) < 0.9
        fails_now = rng.random((40, 1)) < 0.05
        old = (passes & np.ones((1, 2), bool)).astype(float)
        new = (passes & ~fails_now & np.ones((1, 2), bool)).astype(float)
        result = compare_scores(scores(SHAPE, new), scores(SHAPE, old), SHAPE, arms=ARMS)
        held += result.low <= -0.045 <= result.high
    assert held >= 0.93 * 400


def test_sampled_sign_flips_agree_with_enumerated_ones():
    differences = np.random.default_rng(6).standard_normal(12) + 0.5
    exact = sign_flip_test(differences)
    sampled = sign_flip_test(np.r_[differences, 1e-15])
    assert sampled == pytest.approx(exact, abs=0.012)


def test_equal_arms_differ_by_zero():
    table = np.random.default_rng(7).random((30, 2))
    result = compare_scores(scores(CLIP, table), scores(CLIP, table), CLIP, arms=ARMS)
    assert (result.difference, result.verdict, result.p_value) == (0.0, "no difference found", 1.0)


def test_holm_and_benjamini_hochberg_match_scipy_and_the_textbook():
    p = [0.001, 0.02, 0.03, 0.04, 0.5]
    assert holm(p) == pytest.approx([0.005, 0.08, 0.09, 0.09, 0.5])
    assert benjamini_hochberg(p) == pytest.approx(stats.false_discovery_control(p))
    with pytest.raises(InputError, match=r"\[0, 1\]"):
        holm([0.5, 1.2])
