"""No interval holds values that its metric cannot have, however few the prompts."""

import itertools
import math

import numpy as np
import pytest

from dalle2eval.metrics import METRICS, get_metric
from dalle2eval.records import SampleKey, Score
from dalle2eval.statistics import (
    Arms,
    Features,
    compare_contributions,
    compare_features,
    compare_scores,
    contributions_of,
    estimate_features,
    estimate_scores,
)
from dalle2eval.statistics.contributions import Measured
from dalle2eval.statistics.intervals import FEW_PROMPTS, Interval, clipped

ARMS = Arms(arm="new", reference="old")
SCORED = ("clip_score", "text.ned", "text.cer", "composition.object")
OVER_SETS = (
    "vendi_scenes", "diversity_within_prompt", "precision_scenes", "recall_scenes",
    "density_scenes", "coverage_scenes", "fd_scenes", "kid_scenes",
)  # fmt: skip


def keys(num_prompts, seeds):
    return tuple(
        SampleKey(prompt_id=f"p{p}", seed=s) for p in range(num_prompts) for s in range(seeds)
    )


def scores(metric, values, seeds=1):
    named = zip(keys(len(values) // seeds, seeds), values, strict=True)
    return [Score(key=key, metric=metric, value=float(value)) for key, value in named]


def extremes(metric, num_prompts):
    """Scores at the ends of the metric's range in turn: the widest spread that there is."""
    least, largest = METRICS[metric].range
    ends = (least, largest if largest is not None else 5.0)
    return [ends[i % 2] for i in range(num_prompts)]


def inside(low, high, bounds):
    least, largest = bounds
    return (least is None or low >= least) and (largest is None or high <= largest)


def test_every_metric_says_what_values_it_can_have():
    for info in METRICS.values():
        least, largest = info.range
        assert least is None or largest is None or least < largest, info.name
        if info.estimator == "proportion" or info.unit == "share":
            assert info.range == (0.0, 1.0), info.name
    assert get_metric("clip_score").range == (-100.0, 100.0)
    # Unbiased estimates are negative half of the time where two sets are alike.
    assert get_metric("kid_scenes").range == get_metric("cmmd").range == (None, None)


@pytest.mark.parametrize(
    ("metric", "num_prompts"), list(itertools.product(SCORED, (2, 3, 5, 6, 7, 12)))
)
def test_a_handful_of_prompts_leaves_no_range(metric, num_prompts):
    info = get_metric(metric)
    found = estimate_scores(scores(metric, extremes(metric, num_prompts)), info)
    assert found.value is not None
    assert found.low <= found.value <= found.high
    assert inside(found.low, found.high, info.range)


@pytest.mark.parametrize(("metric", "num_prompts"), list(itertools.product(SCORED, (2, 3, 6, 9))))
def test_two_arms_never_differ_by_more_than_the_range(metric, num_prompts):
    info, ours = get_metric(metric), extremes(metric, num_prompts)
    theirs = [*ours[1:], ours[0]]
    for seeds in (1, 2):
        pair = (scores(metric, values * seeds, seeds) for values in (ours, theirs))
        found = compare_scores(*pair, info, arms=ARMS)
        assert found.low <= found.difference <= found.high
        assert inside(found.low, found.high, info.difference_bounds(found.n_pairs))


@pytest.mark.parametrize(
    ("metric", "num_prompts"), list(itertools.product(OVER_SETS, (2, 3, 6, 10)))
)
def test_metrics_over_a_few_images_keep_their_range(metric, num_prompts):
    info, rng = get_metric(metric), np.random.default_rng(num_prompts)
    for shift in (0.0, 3.0):
        real = Features(keys=keys(20, 2), values=rng.standard_normal((40, 3)), extractor="e")
        made = [
            Features(
                keys=keys(num_prompts, 6),
                values=rng.standard_normal((num_prompts * 6, 3)) + shift,
                extractor="e",
            )
            for _ in range(2)
        ]
        reference = real if info.needs == "features+reference" else None
        found = estimate_features(made[0], info, reference=reference)
        if found.value is None:
            assert found.reason
            continue
        assert inside(found.low, found.high, info.bounds(found.n))
        assert found.low <= found.value <= found.high
        difference = compare_features(*made, info, arms=ARMS, reference=reference)
        bounds = info.difference_bounds(difference.n_pairs)
        assert inside(difference.low, difference.high, bounds)


def test_no_more_images_differ_than_there_are():
    """Four pictures far apart: an effective number of 5 would be nonsense."""
    images = Features(keys=keys(4, 1), values=np.eye(4) + 0.01, extractor="e")
    found = estimate_features(images, get_metric("vendi_scenes"))
    assert found.value is None or found.high <= 4.0


def test_a_few_prompts_take_t_where_the_bootstrap_cannot_reach_95_percent():
    """The range of G draws holds the centre with 1 - 2^(1-G): 94% at 5, 97% at 6."""
    assert 1 - 2.0 ** (1 - (FEW_PROMPTS - 1)) < 0.95 <= 1 - 2.0 ** (1 - FEW_PROMPTS)
    info = get_metric("clip_score")
    few = estimate_scores(scores("clip_score", [20.0, 22.0, 25.0]), info)
    assert few.method == "cluster-t"
    mean, error = 67 / 3, np.std([20.0, 22.0, 25.0], ddof=1) / math.sqrt(3)
    # 4.3027: Student's t with two degrees of freedom.
    assert few.low == pytest.approx(mean - 4.3027 * error, rel=1e-4)
    enough = estimate_scores(scores("clip_score", [20.0, 22.0, 25.0] * 2), info)
    assert enough.method == "cluster-bootstrap"


def test_the_interval_of_few_prompts_covers_the_truth():
    """Uniform scores, 400 simulated runs at each G; the percentile range reached 50% at G = 2."""
    rng, info = np.random.default_rng(5), get_metric("text.ned")
    for num_prompts in (2, 3, 5):
        hits = 0
        for _ in range(400):
            found = estimate_scores(scores("text.ned", rng.random(num_prompts)), info)
            hits += found.low <= 0.5 <= found.high
        assert hits / 400 >= 0.9, num_prompts


def test_equal_scores_of_a_few_prompts_claim_no_certainty():
    info = get_metric("text.cer")
    found = estimate_scores(scores("text.cer", [0.0, 0.0, 0.0]), info)
    assert found.value is None
    assert found.reason == "3 equal prompts: an interval needs 6, or two that differ"


def test_two_prompts_that_improve_alike_are_no_evidence():
    """p = 2 / 2^2 = 0.5, though the difference has no spread at all."""
    new, old = scores("clip_score", [21.0, 31.0]), scores("clip_score", [20.0, 30.0])
    found = compare_scores(new, old, get_metric("clip_score"), arms=ARMS)
    assert (found.difference, found.p_value) == (1.0, 0.5)
    assert found.verdict == "no difference found"


@pytest.mark.parametrize(
    ("interval", "bounds", "expected"),
    [
        ((-0.2, 1.4), (0.0, 1.0), (0.0, 1.0)),
        ((-0.2, 1.4), (None, 1.0), (-0.2, 1.0)),
        ((-0.2, 1.4), (None, None), (-0.2, 1.4)),
        ((-1e-12, -1e-12), (0.0, None), (0.0, 0.0)),  # a rounding below zero
    ],
)
def test_an_interval_is_cut_at_the_bounds_alone(interval, bounds, expected):
    cut = clipped(Interval(*interval), bounds)
    assert (cut.low, cut.high) == expected


@pytest.mark.parametrize(
    ("metric", "value", "expected"),
    [
        ("text.cer", 0.0, (0.0, 0.2648)),  # 1 - 0.025^(1/12)
        ("text.ned", 0.1, (0.1 - 0.02648, 0.1 + 0.2383)),
        ("clip_score", 30.0, (30 - 34.404, 30 + 18.525)),
        ("text.cer", 4.0, (4 - 1.0586, 4 + 1.0586)),
    ],
)
def test_equal_scores_of_a_dozen_prompts_claim_no_certainty(metric, value, expected):
    """[v, v] said that no prompt of the source can differ."""
    found = estimate_scores(scores(metric, [value] * 24, seeds=2), get_metric(metric))
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-3)
    assert (found.value, found.method) == (pytest.approx(value), "equal-prompts")


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_interval_of_equal_prompts_holds_a_rare_failure(seeds):
    """One in a hundred prompts fails: 8 in 10 of these runs show no failure and said [0, 0]."""
    rng, info = np.random.default_rng(0), get_metric("text.cer")
    hits = 0
    for _ in range(200):
        wrong = np.repeat((rng.random(20) < 0.01).astype(float), seeds)
        found = estimate_scores(scores("text.cer", wrong, seeds), info)
        hits += found.low <= 0.01 <= found.high
    assert hits / 200 >= 0.95


@pytest.mark.parametrize("metric", ["recall_scenes", "coverage_scenes", "density_scenes"])
def test_a_set_that_reaches_nothing_is_not_certain_to_reach_nothing(metric):
    rng, info = np.random.default_rng(1), get_metric(metric)
    real = Features(keys=keys(40, 1), values=rng.standard_normal((40, 4)), extractor="e")
    far = [
        Features(keys=keys(40, 1), values=rng.standard_normal((40, 4)) + away, extractor="e")
        for away in (100.0, 200.0)
    ]
    found = estimate_features(far[0], info, reference=real)
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 40))
    assert compare_features(*far, info, arms=ARMS, reference=real).p_value == 1.0


@pytest.mark.parametrize("metric", ["fd_scenes", "kid_scenes", "vendi_scenes", "cmmd"])
def test_one_picture_over_and_over_claims_no_certainty(metric):
    rng, info = np.random.default_rng(2), get_metric(metric)
    real = Features(keys=keys(50, 1), values=rng.standard_normal((50, 4)), extractor="e")
    one = Features(
        keys=keys(40, 1), values=np.tile(rng.standard_normal(4) + 1, (40, 1)), extractor="e"
    )
    reference = real if info.needs == "features+reference" else None
    found = estimate_features(one, info, reference=reference)
    assert found.low <= found.value < found.high
    assert found.method == "equal-prompts"


@pytest.mark.parametrize("metric", ["fd_scenes", "kid_scenes", "cmmd"])
def test_two_collapsed_arms_are_not_told_apart_with_certainty(metric):
    """No spread in either arm: t gave p = 0 and called one "better", by [0.06, 0.06]."""
    rng, info = np.random.default_rng(3), get_metric(metric)
    real = Features(keys=keys(50, 1), values=rng.standard_normal((50, 4)), extractor="e")
    arms = [
        Features(keys=keys(40, 1), values=np.tile(row, (40, 1)), extractor="e")
        for row in rng.standard_normal((2, 4)) + 1
    ]
    found = compare_features(*arms, info, arms=ARMS, reference=real)
    assert (found.verdict, found.difference) == ("not compared", None)
    assert "no spread to judge" in found.reason
    kept = [measured(arm, info, real) for arm in arms]
    assert compare_contributions(*kept, info, arms=ARMS).verdict == "not compared"
    same = compare_features(arms[0], arms[0], info, arms=ARMS, reference=real)
    assert (same.difference, same.p_value, same.verdict) == (0.0, 1.0, "no difference found")


def measured(images, info, real):
    """What a run folder keeps of a metric over a set."""
    first = {one.key: one.value for one in contributions_of(images, info, reference=real)}
    value = estimate_features(images, info, reference=real).value
    return Measured(value=value, extractor="e", first=first)


def test_a_set_against_itself_is_at_distance_0():
    images = Features(
        keys=keys(40, 1),
        values=np.random.default_rng(4).standard_normal((40, 4)),
        extractor="e",
    )
    found = estimate_features(images, get_metric("fd_scenes"), reference=images)
    assert found.value == pytest.approx(0.0, abs=1e-12)
    assert found.low == 0.0 <= found.high < 1.0


@pytest.mark.parametrize("metric", ["vendi_scenes", "diversity_within_prompt"])
def test_rounding_puts_no_value_outside_its_range(metric):
    """A Vendi score of 0.9999999999999993 stood beside [1, 1], and -4e-16 beside [0, 0]."""
    row = np.random.default_rng(5).standard_normal(6)
    one = Features(keys=keys(20, 2), values=np.tile(row, (40, 1)), extractor="e")
    found = estimate_features(one, get_metric(metric))
    assert found.low <= found.value < found.high
    assert found.value == get_metric(metric).range[0]
