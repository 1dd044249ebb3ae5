"""Reports: the sentence claims no more than the comparisons do, and the geometry shows it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from report_fixtures import write_run
from report_plans import a_plan

from dalle2eval.records import Comparison, Score
from reports import read_run
from reports.answer import answer, claimed, sentence
from reports.facts_text import asked_and_read, describe
from reports.forest import forests
from reports.number_text import NumberStyle, duration, style_for
from reports.plots import Axis, guidance_curve, guidance_plots
from reports.wording import wording


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return read_run(write_run(tmp_path_factory.mktemp("runs") / "quick"))


def a_comparison(**changes) -> Comparison:
    fields = {
        "arm": "b",
        "reference": "a",
        "metric": "fd_scenes",
        "difference": 1.0,
        "low": 0.5,
        "high": 1.5,
        "n_pairs": 9,
        "method": "paired",
        "verdict": "worse",
    }
    return Comparison(**{**fields, **changes})


def with_comparisons(run, *comparisons):
    return replace(run, comparisons=comparisons)


def test_claim_needs_both_the_verdict_and_an_interval_off_zero():
    assert claimed(a_comparison()) == "worse"
    assert claimed(a_comparison(low=-0.1)) == "cannot tell"
    assert claimed(a_comparison(low=0.0)) == "cannot tell"
    assert claimed(a_comparison(verdict="no difference found")) == "cannot tell"
    none = a_comparison(
        difference=None, low=None, high=None, verdict="not compared", reason="no pairs"
    )
    assert claimed(none) is None


def test_headline_names_each_arm_once_under_its_own_verdict(run):
    told = answer(run).headline
    worse, unsure = told.split("; whether ")
    for arm in ("text-embedding", "caption-only", "guidance-1"):
        assert arm in worse
    for arm in ("prior-eps", "guidance-4"):
        assert arm not in worse
        assert arm in unsure
    assert "+8.10 [7.44, 8.76]" in worse
    assert unsure.endswith("this run cannot tell.")


def test_single_arm_takes_the_singular_and_a_reason_is_told(run):
    missing = a_comparison(
        arm="prior-eps",
        reference="prior",
        difference=None,
        low=None,
        high=None,
        verdict="not compared",
        reason="no shared seeds",
    )
    worse = a_comparison(arm="guidance-1", reference="prior")
    told = sentence(with_comparisons(run, missing, worse), "fd_scenes")
    assert "guidance-1 (+1.00 [0.50, 1.50]) is worse than prior" in told
    assert "not compared: prior-eps (no shared seeds)" in told


def test_metric_without_good_direction_is_higher_or_lower_not_better(run):
    told = sentence(
        with_comparisons(run, a_comparison(arm="guidance-1", reference="prior", verdict="higher")),
        "fd_scenes",
    )
    assert "higher than prior" in told
    assert "better" not in told.replace("lower is better", "")


@pytest.mark.parametrize(
    ("expect", "verdict"),
    [
        ("fd_scenes: text-embedding worse than prior", "agrees"),
        ("fd_scenes: prior better than text-embedding", "agrees"),
        ("fd_scenes: text-embedding better than prior", "disagrees"),
        ("fd_scenes: prior worse than guidance-1", "disagrees"),
        ("fd_scenes: prior-eps worse than prior", "cannot tell"),
        ("fd_scenes: guidance-1 worse than guidance-4", "cannot tell"),
        ("priors help", "cannot tell"),
        (None, "cannot tell"),
    ],
)
def test_finding_is_judged_by_the_comparison_it_names(run, expect, verdict):
    finding = {"says": "x", "source": "y"} | ({"expect": expect} if expect else {})
    judged = answer(replace(run, plan=replace(run.plan, finding=finding))).finding
    assert judged.verdict == verdict
    assert judged.because


def test_pass_rates_print_in_percent_and_differences_in_points(run):
    told = sentence(run, "composition.binding")
    assert "text-embedding (-38 points [-57, -18])" in told.replace("\N{MINUS SIGN}", "-")
    assert "prior (75% [54, 96])" in told


def test_decimals_follow_the_interval_not_the_float(run):
    assert style_for(run, "fd_scenes").value(4.9) == "4.90"
    assert style_for(run, "kid_scenes").value(0.018) == "0.0180"
    style = NumberStyle(decimals=1, fine_decimals=2)
    assert style.value(-0.001) == "0.0"
    told = [style.difference(a_comparison(difference=d)) for d in (-0.001, 0.004, 0.25, -0.25)]
    assert told == [f"{d} [0.50, 1.50]" for d in ("0.00", "0.00", "+0.25", "\N{MINUS SIGN}0.25")]


def test_narrow_differences_keep_the_decimals_that_tell_them_apart(run):
    narrow = a_comparison(
        arm="guidance-1", reference="prior", difference=-0.0171, low=-0.0243, high=-0.0102
    )
    assert "(\N{MINUS SIGN}0.0171 [" in sentence(with_comparisons(run, narrow), "fd_scenes")


def test_durations_read_like_durations():
    assert [duration(s) for s in (None, 3.21, 271.4, 7325)] == [
        "not measured",
        "3.2 s",
        "4 min 31 s",
        "2 h 2 min",
    ]


def test_fid_is_said_of_inception_alone():
    assert wording("fid").title == "FID"
    for metric in ("fd_scenes", "fd_dinov2", "fd_effnet"):
        assert "FID" not in wording(metric).title + wording(metric).says
    assert wording("a_new_metric").title == "a_new_metric"


def test_curve_joins_only_arms_that_differ_in_guidance_alone(run):
    assert guidance_curve(run) == ("guidance-1", "prior", "guidance-4")


def test_points_lie_inside_the_frame_and_higher_values_higher(run):
    fidelity, alignment, trade_off = guidance_plots(run)
    for plot in (fidelity, alignment, trade_off):
        for point in plot.points:
            assert 56 <= point.x <= 346
            assert 14 <= min(*point.y_bar) <= point.y <= max(*point.y_bar) <= 228
    at = {point.arm: point for point in fidelity.points}
    assert at["guidance-1"].y < at["prior"].y  # 13 lies above 4.9, and pixels count down
    assert at["guidance-1"].x < at["prior"].x < at["guidance-4"].x
    shared = [at[arm].x for arm in ("prior", "prior-eps", "text-embedding", "caption-only")]
    assert len(set(shared)) == 4


def test_ticks_are_round_and_lie_on_the_axis():
    ticks = Axis(title="x", low=0.43, high=12.9, start=0, end=100).ticks
    assert [tick.label for tick in ticks] == ["5", "10"] or [t.label for t in ticks][:2] == [
        "2",
        "4",
    ]
    assert all(0 <= tick.at <= 100 for tick in ticks)
    assert Axis(title="x", low=0, high=10, start=100, end=0).at(2.5) == 75


def test_forest_puts_zero_in_the_middle_and_good_on_its_side(run):
    forest = forests(run)[0]
    assert (forest.metric, forest.left, forest.right) == ("fd_scenes", "better", "worse")
    at = {whisker.arm: whisker for whisker in forest.whiskers}
    assert at["guidance-4"].mid < 50 < at["prior-eps"].mid < at["guidance-1"].mid
    assert all(0 <= w.low <= w.mid <= w.high <= 100 for w in forest.whiskers)
    assert max(max(50 - w.low, w.high - 50) for w in forest.whiskers) == pytest.approx(48)


def test_scene_facts_read_as_words():
    scene = a_plan().prompts[8].facts
    assert describe(scene) == "green circle left of purple square"
    assert describe(a_plan().prompts[4].facts) == "three \N{MULTIPLICATION SIGN} green triangle"
    assert describe(a_plan().prompts[10].facts) == "“CAT” in red"
    assert describe(None) == "nothing readable"
    assert describe("") == "no text"
    assert describe({"other": 1}) == '{"other": 1}'


def test_score_without_detail_tells_nothing_rather_than_guessing(run):
    key = next(iter(run.scores))[1]
    assert asked_and_read(Score(key=key, metric="m", value=0.0)) == ("", "")
    assert asked_and_read(
        Score(key=key, metric="m", value=0.0, detail={"asked": "CAT", "read": None})
    ) == (
        "“CAT”",
        "nothing readable",
    )
