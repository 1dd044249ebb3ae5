"""The benchmark of the gate resamples what it says: no effect where none is, the run's own else."""

import sys
from pathlib import Path

import numpy as np
import pytest
from test_gate_calibration import PROMPTS, repeat, repeats

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
import gate_power
import spoiling


def test_all_prompts_once_give_the_numbers_of_the_run():
    arms = repeat(np.random.default_rng(0), 0)
    some = arms["current"]
    prompts = sorted({key.prompt_id for key in some.keys})
    again = gate_power.drawn(arms, prompts)["current"]
    for name, metric in some.metrics.items():
        assert again.metrics[name].value == pytest.approx(metric.value)
    added = again.metrics["fd_scenes"].by_image.values()
    assert sum(added) == pytest.approx(0, abs=1e-9)
    assert sorted(added) == pytest.approx(sorted(some.metrics["fd_scenes"].by_image.values()))


def test_a_prompt_drawn_twice_is_two_prompts_with_the_same_images():
    arms = repeat(np.random.default_rng(0), 0)
    twice = gate_power.drawn(arms, ["p03", "p03", "p07"])["current"]
    assert len(twice.keys) == 6
    assert len({key.prompt_id for key in twice.keys}) == 3


def test_sides_of_equal_quality_raise_few_alarms_and_differ():
    some = repeats(5)
    pairs = gate_power.aa_pairs(some, np.random.default_rng(1))
    first, second = next(pairs)
    assert first["current"].metrics["clip_score"] != second["current"].metrics["clip_score"]
    assert gate_power.count(pairs, 60)["rate"] <= 0.1


def test_a_planted_change_is_found_and_more_prompts_find_more():
    rng = np.random.default_rng(3)
    base, spoilt = repeat(rng, 0), repeat(rng, 0, worse=0.08)
    rates = [
        gate_power.count(gate_power.planted_pairs(base, spoilt, n, np.random.default_rng(0)), 40)
        for n in (10, PROMPTS)
    ]
    assert rates[0]["rate"] < rates[1]["rate"]


def test_a_draw_that_cannot_judge_is_no_alarm():
    rng = np.random.default_rng(3)
    sides = [gate_power.drawn(repeat(rng, 0, worse), ["p03"]) for worse in (0.0, 0.5)]
    assert gate_power.alarmed(*sides) == []


def test_only_red_is_broken():
    colours = np.array([[[[220, 40, 40], [40, 165, 65], [50, 85, 230], [245, 245, 245]]]], np.uint8)
    seen = spoiling.red_as_blue(colours)[0, 0]
    assert seen.tolist() == [[40, 40, 220], [40, 165, 65], [50, 85, 230], [245, 245, 245]]
    assert spoiling.blur(colours).shape == colours.shape
