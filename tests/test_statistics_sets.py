"""Intervals and paired comparisons of metrics over whole sets: FD, KID, CMMD, Vendi, diversity."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from dalle2eval.metrics import (
    cmmd,
    frechet_distance,
    get_metric,
    kernel_distance,
    vendi_score,
    within_prompt_distance,
)
from dalle2eval.metrics.kernel import cubic_kernel
from dalle2eval.records import InputError, NotComparable, SampleKey
from dalle2eval.statistics import (
    Arms,
    Features,
    compare_features,
    contributions_of,
    estimate_features,
    shared,
)
from dalle2eval.statistics.distance_influence import (
    frechet_bias,
    frechet_influence,
    kernel_influence,
)
from dalle2eval.statistics.diversity_influence import vendi_influence
from dalle2eval.statistics.influence import (
    BENT_GROUPS,
    Influence,
    influence_interval,
    standard_error,
)

FD, KID, CMMD = get_metric("fd_scenes"), get_metric("kid_scenes"), get_metric("cmmd")
VENDI, WITHIN = get_metric("vendi_scenes"), get_metric("diversity_within_prompt")
ARMS = Arms(arm="new", reference="old")


def features(values, *, seeds=1, extractor="judge", first_prompt=0):
    keys = tuple(
        SampleKey(prompt_id=f"p{first_prompt + row // seeds}", seed=row % seeds)
        for row in range(len(values))
    )
    return Features(keys=keys, values=np.asarray(values), extractor=extractor)


@pytest.fixture
def world():
    """Return a generator of features [n, 12] and a reference set."""
    rng = np.random.default_rng(0)
    mix = rng.standard_normal((12, 12)) / 3

    def draw(n, noise=0.3):
        x = rng.standard_normal((n, 12)) @ mix
        return x + noise * rng.standard_normal((n, 12))

    return draw, features(draw(400, noise=0.0))


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        (FD, frechet_distance),
        (KID, kernel_distance),
        (CMMD, cmmd),
        (VENDI, lambda x, _: vendi_score(x)),
    ],
)
def test_the_estimate_is_the_metric_with_an_interval_around_it(world, metric, value):
    draw, reference = world
    generated = features(draw(60))
    estimate = estimate_features(generated, metric, reference=reference, slice="count")
    assert estimate.value == pytest.approx(value(generated.values, reference.values), rel=1e-9)
    assert estimate.low < estimate.value < estimate.high
    assert (estimate.n, estimate.extractor, estimate.slice) == (60, "judge", "count")
    assert estimate.method == "influence"


def test_diversity_inside_prompts_leaves_single_images_out():
    values = np.random.default_rng(1).standard_normal((13, 5))
    generated = features(values, seeds=3)  # the fifth prompt has one image
    estimate = estimate_features(generated, WITHIN)
    expected = within_prompt_distance(values[:12], generated.prompts[:12])
    assert estimate.value == pytest.approx(expected)
    assert estimate.n == 12
    spread = [within_prompt_distance(values[i : i + 3], [0] * 3) for i in range(0, 12, 3)]
    half = 3.182446 * np.std(spread, ddof=1) / 2  # t of 3 degrees of freedom
    assert estimate.high - estimate.low == pytest.approx(2 * half, rel=0.1)


def test_fd_of_no_more_images_than_dimensions_is_unknown_not_a_number(world):
    draw, reference = world
    estimate = estimate_features(features(draw(12)), FD, reference=reference)
    assert estimate.value is None
    assert "12 images in 12 dimensions" in estimate.reason
    result = compare_features(
        features(draw(12)), features(draw(12)), FD, arms=ARMS, reference=reference
    )
    assert (result.verdict, result.difference) == ("not compared", None)


def test_fd_of_few_images_says_so(world):
    draw, reference = world
    few = estimate_features(features(draw(23)), FD, reference=reference)
    enough = estimate_features(features(draw(24)), FD, reference=reference)
    assert few.note.startswith("rank-deficient: N < 2d; about")
    assert enough.note.startswith("about")
    turned = estimate_features(reference, FD, reference=features(draw(23)))
    assert "reference rank-deficient: M < 2d" in turned.note


@pytest.mark.parametrize("seeds", [1, 2])
def test_fd_influence_is_the_change_when_a_prompt_is_left_out(world, seeds):
    draw, reference = world
    x, prompts = draw(120), np.repeat(np.arange(120 // seeds), seeds)
    influence = frechet_influence(x, reference.values, prompts)
    num = len(x) // seeds
    without = [frechet_distance(x[prompts != p], reference.values) for p in range(num)]
    jackknife = len(x) * (num - 1) / num * (np.mean(without) - np.array(without))
    added = np.bincount(prompts, weights=influence.first)
    assert np.corrcoef(added, jackknife)[0, 1] > 0.998
    assert added.std() == pytest.approx(jackknife.std(), rel=0.03)


def test_fd_pair_table_equals_the_hessian_without_quadrature(world):
    draw, reference = world
    x = draw(30)
    got = frechet_influence(x, reference.values, np.arange(30)).second
    c = x - x.mean(axis=0)
    lower = np.linalg.cholesky(np.cov(reference.values, rowvar=False))
    spectrum, vectors = np.linalg.eigh(lower.T @ np.cov(x, rowvar=False) @ lower)
    z, r = c @ lower @ vectors, np.sqrt(spectrum)
    w = 1 / (np.outer(r, r) * (r[:, None] + r))
    outer = z[:, :, None] * z[:, None, :] - np.diag(spectrum)
    expected = c @ c.T + np.einsum("kl,ikl,jkl->ij", w, outer, outer) / 2
    np.testing.assert_allclose(got, expected, atol=2e-3 * np.abs(expected).max())


@pytest.mark.parametrize("seeds", [1, 4])
def test_kid_influence_is_the_change_when_a_prompt_is_left_out(world, seeds):
    """The pairs inside a prompt leave with it once, not once for each of their images."""
    draw, reference = world
    num, prompts = 48 // seeds, np.repeat(np.arange(48 // seeds), seeds)
    x = 3 * draw(num)[prompts] + 0.1 * draw(48)  # alike inside a prompt
    influence = kernel_influence(x, reference.values, prompts, cubic_kernel)
    without = [kernel_distance(x[prompts != p], reference.values) for p in range(num)]
    jackknife = (len(x) - seeds) * (np.mean(without) - np.array(without))
    added = np.bincount(prompts, weights=influence.first)
    assert np.corrcoef(added, jackknife)[0, 1] > 0.998
    assert added.std() == pytest.approx(jackknife.std(), rel=0.05)


def test_the_exponential_of_a_mean_has_the_exponential_of_its_interval():
    """A distance far above its error is skewed like this; l + c l² stops short of the upper end."""
    n, rows = 200, np.arange(200)
    x = stats.norm.ppf((rows + 0.5) / n)
    x *= 0.3 * np.sqrt(n) / x.std()  # a standard error of 0.3
    influence = Influence(value=1.0, first=x, groups=rows, second=np.outer(x, x) / 2, rows=rows)
    interval = influence_interval(influence)
    expected = 0.3**2 / 2 + 0.3 * stats.t.ppf([0.025, 0.975], n - 1)  # with the bias of the value
    assert np.log([interval.low, interval.high]) == pytest.approx(expected, rel=0.06)


def test_vendi_standard_error_is_that_of_the_delete_one_jackknife():
    x = np.random.default_rng(2).standard_normal((60, 20)) @ np.diag(np.linspace(1, 0.1, 20))
    without = np.array([vendi_score(np.delete(x, row, axis=0)) for row in range(60)])
    jackknife = np.sqrt(59 / 60 * ((without - without.mean()) ** 2).sum())
    assert standard_error(vendi_influence(x, np.arange(60))) == pytest.approx(jackknife, rel=0.05)


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_fd_standard_error_is_the_spread_over_fresh_sets(noise):
    """n = 2.5 d, also where the two sets are alike and the plain formula is 25% too large."""
    rng = np.random.default_rng(3)
    mix = rng.standard_normal((16, 16)) / 4
    reference = rng.standard_normal((600, 16)) @ mix

    def fresh():
        x = rng.standard_normal((40, 16)) @ mix + noise * rng.standard_normal((40, 16))
        influence = frechet_influence(x, reference, np.arange(40))
        return influence.value, standard_error(influence), frechet_bias(influence)

    values, errors, biases = np.array([fresh() for _ in range(300)]).T
    assert np.sqrt((errors**2).mean()) == pytest.approx(values.std(), rel=0.15)
    true = frechet_distance(
        rng.standard_normal((50_000, 16)) @ mix + noise * rng.standard_normal((50_000, 16)),
        reference,
    )
    assert 0.75 < biases.mean() / (values.mean() - true) < 1.1


def test_paired_fd_is_covered_and_far_narrower_than_unpaired():
    rng = np.random.default_rng(4)
    reference = features(rng.standard_normal((500, 8)))

    def arms():
        old = rng.standard_normal((60, 8)) * 1.1
        return features(old * 1.02 + 0.05 * rng.standard_normal((60, 8))), features(old)

    results = [compare_features(*arms(), FD, arms=ARMS, reference=reference) for _ in range(200)]
    truth = np.mean([result.difference for result in results])
    covered = np.mean([result.low <= truth <= result.high for result in results])
    assert 0.90 <= covered <= 0.99
    new, old = arms()
    widths = [
        estimate.high - estimate.low
        for estimate in (estimate_features(side, FD, reference=reference) for side in (new, old))
    ]
    paired = compare_features(new, old, FD, arms=ARMS, reference=reference)
    assert np.hypot(*widths) > 4 * (paired.high - paired.low)


def test_seeds_of_one_prompt_are_not_independent():
    """Four images a prompt that share most of their look: the spread over fresh sets decides."""
    rng = np.random.default_rng(7)
    reference, prompts = rng.standard_normal((300, 6)), np.repeat(np.arange(50), 4)

    def fresh():
        x = 1.3 * rng.standard_normal((50, 6))[prompts] + 0.4 * rng.standard_normal((200, 6))
        influence = frechet_influence(x, reference, prompts)
        return (
            influence.value,
            standard_error(influence),
            standard_error(replace(influence, groups=np.arange(200))),
        )

    values, clustered, naive = np.array([fresh() for _ in range(150)]).T
    assert 0.9 < np.sqrt((clustered**2).mean()) / values.std() < 1.3
    assert naive.mean() < 0.7 * values.std()


def test_lower_distance_is_better_and_more_diverse_is_only_higher(world):
    draw, reference = world
    good = draw(80, noise=0.1)
    bad = good + np.random.default_rng(5).standard_normal(good.shape)
    fd = compare_features(features(bad), features(good), FD, arms=ARMS, reference=reference)
    assert (fd.verdict, fd.difference > 0, fd.n_pairs) == ("worse", True, 80)
    kid = compare_features(features(good), features(bad), KID, arms=ARMS, reference=reference)
    assert (kid.verdict, kid.difference < 0) == ("better", True)
    vendi = compare_features(features(bad), features(good), VENDI, arms=ARMS)
    assert vendi.verdict == "higher"


def test_order_of_rows_does_not_change_a_paired_comparison(world):
    draw, reference = world
    new, old = features(draw(40)), features(draw(40))
    mixed = old.pick(np.random.default_rng(6).permutation(40))
    first = compare_features(new, old, KID, arms=ARMS, reference=reference)
    second = compare_features(new, mixed, KID, arms=ARMS, reference=reference)
    assert (first.difference, first.low) == pytest.approx((second.difference, second.low))


def test_what_must_not_be_compared_is_refused(world):
    draw, reference = world
    new = features(draw(40))
    with pytest.raises(NotComparable, match="40 images cannot be compared with 30"):
        compare_features(new, features(draw(30)), FD, arms=ARMS, reference=reference)
    other = features(draw(40), extractor="other")
    with pytest.raises(NotComparable, match="'judge' cannot be compared with those of 'other'"):
        compare_features(new, other, FD, arms=ARMS, reference=reference)
    shifted = features(draw(40), first_prompt=10)
    with pytest.raises(NotComparable, match=r"10 images have no partner .* first 'p0' seed 0"):
        compare_features(new, shifted, FD, arms=ARMS, reference=reference)
    with pytest.raises(NotComparable, match="'judge' cannot be compared"):
        estimate_features(new, FD, reference=features(draw(40), extractor="inception"))
    with pytest.raises(InputError, match="needs the features of a reference set"):
        estimate_features(new, FD)
    with pytest.raises(InputError, match="image by image"):
        estimate_features(new, get_metric("clip_score"))


def test_shared_keeps_the_images_that_both_arms_have(world):
    draw, _ = world
    new, old = features(draw(40)), features(draw(40), first_prompt=10)
    a, b = shared(new, old)
    assert a.keys == b.keys
    assert len(a.keys) == 30
    np.testing.assert_array_equal(b.values[0], old.values[0])
    with pytest.raises(NotComparable, match="share no"):
        shared(new, features(draw(5), first_prompt=100))


def test_one_row_belongs_to_one_image():
    with pytest.raises(InputError, match="3 rows of features for 2 images"):
        Features(keys=features(np.eye(2)).keys, values=np.eye(3), extractor="judge")
    key = SampleKey(prompt_id="p", seed=0)
    with pytest.raises(InputError, match="two rows belong to one image"):
        Features(keys=(key, key), values=np.eye(2), extractor="judge")


def test_one_prompt_is_no_sample(world):
    draw, reference = world
    generated = features(draw(40), seeds=40)
    assert estimate_features(generated, KID, reference=reference).value is None
    result = compare_features(generated, generated, KID, arms=ARMS, reference=reference)
    assert result.verdict == "not compared"


@pytest.mark.parametrize("family", ["precision", "recall", "density", "coverage"])
def test_overlap_has_an_interval_about_as_wide_as_its_spread(family):
    rng = np.random.default_rng(8)
    reference = features(rng.standard_normal((300, 5)))
    metric = get_metric(f"{family}_scenes")
    estimates = [
        estimate_features(
            features(0.8 * rng.standard_normal((100, 5))), metric, reference=reference
        )
        for _ in range(40)
    ]
    spread = np.std([estimate.value for estimate in estimates])
    width = np.mean([estimate.high - estimate.low for estimate in estimates])
    assert 0.7 < width / (4 * spread) < 2


def test_paired_recall_knows_mode_collapse(world):
    draw, reference = world
    good = draw(100)
    bad = good * 0.3
    recall = get_metric("recall_scenes")
    result = compare_features(features(bad), features(good), recall, arms=ARMS, reference=reference)
    assert (result.verdict, result.n_pairs) == ("worse", 100)


def test_overlap_of_too_few_images_is_unknown(world):
    draw, reference = world
    estimate = estimate_features(
        features(draw(8)), get_metric("recall_scenes"), reference=reference
    )
    assert (estimate.value, estimate.n) == (None, 8)
    assert "too few for 5 neighbours" in estimate.reason


def test_corrected_fd_lies_below_fd_and_refuses_too_few(world):
    draw, reference = world
    corrected = get_metric("fd_scenes_corrected")
    generated = features(draw(60))
    plain = estimate_features(generated, FD, reference=reference)
    estimate = estimate_features(generated, corrected, reference=reference)
    assert estimate.value < plain.value
    assert estimate.low < estimate.value < estimate.high
    refused = estimate_features(features(draw(47)), corrected, reference=reference)
    assert "fewer than 4 x 12" in refused.reason


def test_one_image_a_prompt_says_nothing_of_diversity_and_ends_no_run():
    """At scale smoke a suite draws one: the run ended in an error about an empty table."""
    rng = np.random.default_rng(0)
    one, other = (features(rng.standard_normal((16, 12))) for _ in range(2))
    known = estimate_features(one, WITHIN)
    assert (known.value, known.n) == (None, 16)
    assert known.reason == "needs two prompts with two images or more"
    held = compare_features(one, other, WITHIN, arms=ARMS)
    assert (held.difference, held.reason) == (None, known.reason)
    assert contributions_of(one, WITHIN) == ()


def test_a_generator_that_always_draws_one_picture_has_a_distance(world):
    """128 black pictures ended in an IndexError after all the work: no root r was left."""
    draw, reference = world
    for one in (np.zeros(12), np.ones(12), draw(1)[0]):
        collapsed = features(np.tile(one, (128, 1)))
        found = estimate_features(collapsed, FD, reference=reference)
        expected = frechet_distance(collapsed.values, reference.values)
        assert found.value == pytest.approx(expected, rel=1e-9)
        assert found.low <= found.value <= found.high
        held = compare_features(collapsed, features(draw(128)), FD, arms=ARMS, reference=reference)
        assert held.verdict == "worse"
        turned = estimate_features(features(draw(128)), FD, reference=collapsed)
        assert turned.low < turned.value < turned.high


@pytest.mark.parametrize("turned", [False, True])
def test_sets_that_vary_in_no_common_direction_have_a_distance(turned):
    """tr (S1 S2)^½ = 0: the distance is |m1 - m2|² + tr S1 + tr S2 and has no Hessian."""
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((60, 8)), rng.standard_normal((70, 8))
    x[:, 4:], y[:, :4] = 0.0, 0.0
    if turned:  # then the zeros are rounding
        basis = np.linalg.qr(rng.standard_normal((8, 8)))[0]
        x, y = x @ basis, y @ basis
    traces = x.var(axis=0, ddof=1).sum() + y.var(axis=0, ddof=1).sum()
    expected = ((x.mean(axis=0) - y.mean(axis=0)) ** 2).sum() + traces
    found = estimate_features(features(x), FD, reference=features(y))
    assert found.value == pytest.approx(expected, rel=1e-6)
    without = [frechet_distance(np.delete(x, i, 0), y) for i in range(60)]
    spread = np.sqrt(59 / 60 * ((np.array(without) - np.mean(without)) ** 2).sum())
    assert found.low < found.value < found.high
    assert (found.high - found.low) / (4 * spread) == pytest.approx(1.0, rel=0.2)
    arm = features(1.5 * x)
    assert compare_features(arm, features(x), FD, arms=ARMS, reference=features(y)).p_value < 0.05


def test_a_dozen_prompts_bend_no_interval():
    """The bends of 6 to 20 prompts reached 35 standard errors up and covered no better than t."""
    rng = np.random.default_rng(7)
    reference = features(np.maximum(rng.standard_normal((300, 16)), 0.0))
    for num_prompts, seeds in ((8, 4), (19, 1), (20, 1)):
        x = np.maximum(rng.standard_normal((num_prompts * seeds, 16)) + 0.3, 0.0)
        found = features(x, seeds=seeds)
        codes = np.repeat(np.arange(num_prompts), seeds)
        influence = kernel_influence(x, reference.values, codes, cubic_kernel)
        half = stats.t.ppf(0.975, num_prompts - 1) * standard_error(influence)
        estimate = estimate_features(found, KID, reference=reference)
        straight = estimate.high - estimate.value == pytest.approx(half, rel=1e-9)
        assert straight == (num_prompts < BENT_GROUPS), num_prompts


def test_kid_far_from_the_origin_is_kid(world):
    """The estimate took products of uncentred rows: at 1e6 it said -7.8e22."""
    draw, reference = world
    x, y = draw(60) + 1e6, reference.values + 1e6
    found = estimate_features(features(x), KID, reference=features(y))
    assert found.value == pytest.approx(kernel_distance(x, y), rel=1e-9)
    near = estimate_features(features(x - 1e6), KID, reference=reference)
    assert near.value == pytest.approx(kernel_distance(x - 1e6, reference.values), rel=1e-9)
