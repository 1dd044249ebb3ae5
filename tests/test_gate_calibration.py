"""Calibration: A/A gates count false alarms and nothing else, and floors lie above the noise."""

import json

import numpy as np
import pandas as pd
import pytest
from report_fixtures import write_run
from report_plans import a_plan

from dalle2eval.gate.calibrating import calibrate, read_floors
from dalle2eval.gate.calibration import by_rank, calibrated
from dalle2eval.gate.measured import ArmMeasured, MetricMeasured
from dalle2eval.gate.policy import Floor, floor_for
from dalle2eval.metrics import METRICS
from dalle2eval.records import InputError, SampleKey
from reports.reading import read_run

PROMPTS, SEEDS = 60, 2
HARD = np.random.default_rng(5).beta(6, 1.5, size=PROMPTS)  # the prompts are the same each time


def repeat(rng, first_seed, worse=0.0):
    """Return what a run of one arm measured: shares, scores, and contributions of a distance."""
    keys = [
        SampleKey(prompt_id=f"p{p:02}", seed=first_seed + s)
        for p in range(PROMPTS)
        for s in range(SEEDS)
    ]
    hard = np.repeat(HARD, SEEDS)
    shares = (rng.random(len(keys)) < hard - worse).astype(float)
    clip = 30 + 4 * hard + rng.normal(size=len(keys)) - 10 * worse
    first = rng.normal(size=len(keys))
    found = {
        "composition.colour": (float(shares.mean()), shares),
        "clip_score": (float(clip.mean()), clip),
        "fd_scenes": (5 + float(first.mean()) + 10 * worse, first - first.mean()),
    }
    metrics = {
        name: MetricMeasured(
            name=name,
            value=value,
            n=len(keys),
            extractor="e",
            reason=None,
            by_image=dict(zip(keys, map(float, rows), strict=True)),
        )
        for name, (value, rows) in found.items()
    }
    return {"current": ArmMeasured(name="current", keys=frozenset(keys), metrics=metrics)}


def repeats(number, seed=0, **worse):
    rng = np.random.default_rng(seed)
    return [by_rank(repeat(rng, SEEDS * i, worse.get(f"r{i}", 0.0))) for i in range(number)]


def test_equal_quality_raises_few_alarms():
    found = calibrated(repeats(8))
    assert found.before.gates == 8 * 7
    assert found.before.rate <= 0.1
    assert found.before.low <= found.before.rate <= found.before.high
    assert found.after.rate <= found.before.rate


def test_a_repeat_that_is_worse_does_raise_them():
    found = calibrated(repeats(4, r2=0.5))
    assert found.before.alarms >= 3  # against each of the three others, one way round
    assert found.by_metric["composition.colour"] >= 3


def test_the_interval_does_not_take_pairs_that_share_runs_for_independent():
    found = calibrated(repeats(6))
    assert found.before.rate < 0.1
    assert found.before.high > 0.5  # three disjoint pairs of six runs tell little


def test_a_floor_lies_above_nineteen_of_twenty_differences():
    some = repeats(8)
    found = calibrated(some)
    values = [arms["current"].metrics["fd_scenes"].value for arms in some]
    gaps = [abs(a - b) for a in values for b in values if a is not b]
    floor = found.floors["fd_scenes"]
    assert floor.absolute == pytest.approx(np.quantile(gaps, 0.95), rel=0.01)
    assert floor.relative == floor_for(METRICS["fd_scenes"]).relative


def test_no_floor_falls_below_the_policys():
    """Repeats whose shares did not move gave a floor of 0: a margin that nobody can prove."""
    found = calibrated(repeats(8))
    policy = floor_for(METRICS["clip_score"])
    assert found.floors["clip_score"].absolute == policy.absolute == 0.5


def test_other_seeds_are_paired_by_their_place():
    arms = by_rank(repeat(np.random.default_rng(0), first_seed=40))
    assert {key.seed for key in arms["current"].keys} == {0, 1}
    assert {key.seed for key in arms["current"].metrics["fd_scenes"].by_image} == {0, 1}


def test_one_repeat_is_no_pair():
    with pytest.raises(InputError, match="two repeats or more"):
        calibrated(repeats(1))


def runner(calls):
    """Return what makes a run folder from its first seed, once; a second call finds it."""

    def run_suite(first, folder):
        if not (folder / "summary.json").exists():
            calls.append(first)
            plan = a_plan()
            small = a_plan(arms=plan.arms[:1], prompts=plan.prompts[1:4], seeds=(first, first + 1))
            contribute(write_run(folder, small))
        return folder

    return run_suite


def contribute(folder):
    """Give a run what its images add to FD, as a real one has it."""
    run, rng = read_run(folder), np.random.default_rng(0)
    rows = [
        {"arm": arm.name, "prompt_id": p.id, "seed": s, "metric": m, "value": rng.normal()}
        for arm in run.arms
        for p in run.plan.prompts
        for s in run.plan.seeds
        for m in ("fd_scenes", "kid_scenes")
    ]
    pd.DataFrame(rows).to_parquet(folder / "contributions.parquet", index=False)
    return folder


def test_no_two_repeats_share_a_seed_and_a_second_call_makes_nothing(tmp_path):
    calls, places = [], {"work": tmp_path / "work", "out": tmp_path / "floors.json"}
    found = calibrate(runner(calls), repeats=3, **places)
    assert calls == [0, 2, 4]
    first = (tmp_path / "floors.json").read_bytes()
    calibrate(runner(calls), repeats=3, **places)
    assert calls == [0, 2, 4]
    assert (tmp_path / "floors.json").read_bytes() == first
    assert read_floors(tmp_path / "floors.json") == dict(found.floors)
    data = json.loads(first)
    assert (data["repeats"], data["prompts"], data["seeds_a_repeat"]) == (3, 3, 2)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "no floors; `gate calibrate"),
        ("{", "not JSON"),
        ("[]", "floors_version None"),
        ('{"floors_version": 2, "floors": {}}', "floors_version 2; this release reads 1"),
        ('{"floors_version": 1}', "damaged floors"),
        ('{"floors_version": 1, "floors": {"clip_score": [1]}}', "damaged floors"),
        (
            '{"floors_version": 1, "floors": {"clip_score": [-1, 0]}}',
            "floor of clip_score is .*allowed: 0 or more",
        ),
        ('{"floors_version": 1, "floors": {"clip_scor": [1, 0]}}', "did you mean"),
        ('{"floors_version": 1, "floors": {"clip_score": [NaN, 0]}}', "allowed: 0 or more"),
    ],
)
def test_floors_that_are_none_are_named(tmp_path, text, told):
    path = tmp_path / "floors.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=told):
        read_floors(path)


def test_floors_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "floors.json"
    path.write_text('{"floors_version": 1, "floors": {"clip_score": [0.4, 0.01]}}')
    assert read_floors(path) == {"clip_score": Floor(absolute=0.4, relative=0.01)}
