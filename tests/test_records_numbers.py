"""A number never travels without its n and its interval, and unknown is never 0 or NaN."""

from dataclasses import replace

import pytest

from dalle2eval.records import Estimate, SampleKey, Score

KNOWN = Estimate(
    metric="fd_scenes",
    value=2.0,
    low=1.0,
    high=3.0,
    n=10,
    method="influence",
    higher_is_better=False,
)


@pytest.mark.parametrize(
    "missing", [{"low": None}, {"high": None}, {"n": 0}, {"method": ""}, {"low": 4.0}]
)
def test_an_estimate_without_interval_or_n_cannot_be_constructed(missing):
    with pytest.raises(ValueError, match="fd_scenes"):
        replace(KNOWN, **missing)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_an_estimate_is_a_number_or_unknown_with_a_reason(number):
    with pytest.raises(ValueError, match="not finite"):
        replace(KNOWN, value=number)
    with pytest.raises(ValueError, match="neither a value nor a reason"):
        replace(KNOWN, value=None)
    assert replace(KNOWN, value=None, reason="too few images").value is None


def test_an_unscored_sample_needs_its_reason():
    key = SampleKey(prompt_id="p", seed=0)
    with pytest.raises(ValueError, match="neither a value nor a reason"):
        Score(key=key, metric="clip_score", value=None)
    with pytest.raises(ValueError, match="use None and a reason"):
        Score(key=key, metric="clip_score", value=float("nan"))


@pytest.mark.parametrize("outside", [0.9, 3.1, 3.0 + 1e-7])
def test_no_estimate_lies_outside_its_interval(outside):
    with pytest.raises(ValueError, match="lies outside"):
        replace(KNOWN, value=outside)
    assert replace(KNOWN, value=3.0 + 1e-10).value > 3.0  # rounding of a file's digits
