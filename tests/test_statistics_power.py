"""Power and the relative-MMD test, held against simulation."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from dalle2eval.metrics import get_metric
from dalle2eval.records import InputError, NotComparable, SampleKey, Score
from dalle2eval.statistics import (
    Arms,
    Features,
    compare_scores,
    minimum_detectable_effect,
    prompts_needed,
    relative_mmd,
    spread_of,
)

CLIP = get_metric("clip_score")
ARMS = Arms(arm="new", reference="old")


def scores(values):
    return [
        Score(key=SampleKey(prompt_id=f"p{i}", seed=0), metric=CLIP.name, value=float(value))
        for i, value in enumerate(values)
    ]


def features(values, extractor="judge", seeds=1):
    keys = tuple(SampleKey(prompt_id=f"p{i // seeds}", seed=i % seeds) for i in range(len(values)))
    return Features(keys=keys, values=values, extractor=extractor)


def test_an_effect_at_the_limit_is_found_four_times_in_five():
    rng = np.random.default_rng(0)
    effect = minimum_detectable_effect(2.0, 60)
    found = [
        compare_scores(
            scores(effect + 2.0 * rng.standard_normal(60)), scores(np.zeros(60)), CLIP, arms=ARMS
        ).verdict
        == "better"
        for _ in range(300)
    ]
    assert 0.72 < np.mean(found) < 0.86


def test_prompts_needed_is_the_inverse():
    n = prompts_needed(2.0, 0.5)
    assert minimum_detectable_effect(2.0, n) <= 0.5 < minimum_detectable_effect(2.0, n - 1)
    assert prompts_needed(2.0, 0.5, power=0.95) > n
    assert prompts_needed(1.0, 1000.0) == 2


def test_the_spread_of_a_comparison_is_that_of_its_prompts():
    differences = np.random.default_rng(1).standard_normal(50) * 3
    comparison = compare_scores(scores(differences), scores(np.zeros(50)), CLIP, arms=ARMS)
    assert spread_of(comparison, 50) == pytest.approx(differences.std(ddof=1))
    unknown = replace(comparison, low=None, high=None, difference=None, reason="one prompt")
    with pytest.raises(InputError, match="clip_score: one prompt"):
        spread_of(unknown, 50)


def test_impossible_questions_are_refused():
    with pytest.raises(InputError, match="spread must be above 0, got 0"):
        minimum_detectable_effect(0.0, 10)
    with pytest.raises(InputError, match="two prompts or more, got 1"):
        minimum_detectable_effect(1.0, 1)
    with pytest.raises(InputError, match=r"between 0\.5 and 1, got 80"):
        prompts_needed(1.0, 0.1, power=80)
    with pytest.raises(InputError, match="above 0, got -1"):
        prompts_needed(1.0, -1)


def test_relative_mmd_finds_the_closer_model():
    rng = np.random.default_rng(2)
    close, far, real = (scale * rng.standard_normal((150, 6)) for scale in (1.05, 1.5, 1.0))
    result = relative_mmd(features(close), features(far), features(real))
    assert result.difference < result.interval.high < 0
    assert result.p_value < 0.01
    assert (result.n, result.m) == (150, 150)
    turned = relative_mmd(features(far), features(close), features(real))
    assert turned.difference == pytest.approx(-result.difference)


def test_relative_mmd_of_equally_good_models_is_rarely_significant():
    """A/A with fresh reference sets: 5% of 400 give or take 1.1 points."""
    rng = np.random.default_rng(3)
    alarms = [
        relative_mmd(*(features(s * rng.standard_normal((80, 6))) for s in (1.3, 1.3, 1.0))).p_value
        < 0.05
        for _ in range(400)
    ]
    assert np.mean(alarms) < 0.085


def test_relative_mmd_refuses_unequal_sets():
    x = np.random.default_rng(4).standard_normal((20, 3))
    with pytest.raises(NotComparable, match="20 images cannot be compared with 10"):
        relative_mmd(features(x), features(x[:10]), features(x))
    with pytest.raises(NotComparable, match="'judge' cannot be compared"):
        relative_mmd(features(x), features(x), features(x, extractor="other"))


@pytest.mark.parametrize("n", [2, 5, 20])
def test_a_handful_of_prompts_has_the_power_that_is_promised(n):
    """Normal quantiles promised 80% where t with 5 prompts found 57%."""
    rng = np.random.default_rng(n)
    effect = minimum_detectable_effect(1.0, n)
    draws = rng.normal(effect, 1.0, (20_000, n))
    found = (stats.ttest_1samp(draws, 0.0, axis=1).pvalue < 0.05).mean()
    assert found == pytest.approx(0.8, abs=0.012)  # 4 standard errors
    assert prompts_needed(1.0, effect * 1.0001) == n


@pytest.mark.parametrize("seeds", [2, 4])
def test_relative_mmd_knows_that_seeds_of_one_prompt_are_not_independent(seeds):
    """Images counted one by one: 8.7% of equal models were told apart at 2 seeds, 15% at 4."""
    rng = np.random.default_rng(5)
    reference = features(rng.standard_normal((100, 6)))

    def model():
        prompts = rng.standard_normal((100 // seeds, 1, 6))
        rows = 0.7 * (prompts + rng.standard_normal((100 // seeds, seeds, 6))) + 0.3
        return features(rows.reshape(-1, 6), seeds=seeds)

    alarms = [relative_mmd(model(), model(), reference).p_value < 0.05 for _ in range(300)]
    assert np.mean(alarms) < 0.075


def test_relative_mmd_without_any_spread_proves_nothing():
    """It divided by 0."""
    one, two, real = (features(np.full((20, 3), value)) for value in (1.0, 2.0, 0.0))
    result = relative_mmd(one, two, real)
    assert (result.p_value, result.interval.high) == (1.0, 0.0)
    with pytest.raises(NotComparable, match="two prompts or more"):
        relative_mmd(one, two, features(np.ones((4, 3)), seeds=4))
