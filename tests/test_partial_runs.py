"""A run that is not its whole suite says so: what it leaves out, changes, and cannot compare."""

from dataclasses import replace

import pytest
from report_fixtures import write_run
from report_plans import a_plan
from run_fixtures import SUITE, fake_prompts, make_plan

from ablations.departures import departures
from ablations.loading import load_suite
from ablations.resolving import Choice
from reports import read_run, render
from reports.answer import answer
from reports.tables import arm_tables


def told(tmp_path, *overrides, text=SUITE, scale=None, **choice):
    path = tmp_path / "s.yaml"
    path.write_text(text)
    loaded = load_suite(str(path), overrides, scale)
    plan = make_plan(path, *overrides, text=text, **choice)
    return departures(loaded, plan, Choice(**choice), fake_prompts)


def test_the_whole_suite_has_nothing_to_say(tmp_path):
    assert told(tmp_path) == ()
    whole = {"limit": 10, "seed": 0, "arms": ("prior", "eps", "guidance-1.0", "guidance-3.0")}
    assert told(tmp_path, "prompts.n=10", **whole) == ()


def test_arms_left_out_are_named(tmp_path):
    assert told(tmp_path, arms=("prior", "guidance-3.0")) == (
        "Partial run: 2 of the suite's 4 arms (prior, guidance-3.0); left out: eps, guidance-1.0.",
    )


@pytest.mark.parametrize("text", [SUITE, SUITE.replace(", n: 10}", "}")])
def test_a_limit_says_how_many_of_how_many_prompts(tmp_path, text):
    """Of all the set's prompts where the suite gives no number; the showcase does not count."""
    assert told(tmp_path, text=text, limit=4) == (
        "Partial run: 4 of the suite's 10 scored prompts in each arm.",
    )


def test_another_seed_is_a_changed_run(tmp_path):
    [sentence] = told(tmp_path, seed=7)
    assert sentence == "Changed run: the first seed is 7; the suite says 0."


def test_fields_that_were_set_are_told_with_what_the_suite_says(tmp_path):
    sets = ("model.decoder_steps=2", "samples_per_prompt=1", "seed=0", "samples_per_prompt=1")
    [sentence] = told(tmp_path, *sets)
    assert sentence == (
        "Changed run: samples_per_prompt is 1 (the suite: 2); "
        "model.decoder_steps is 2 (the suite does not set it); "
        "seed is 0 (the suite does not set it)."
    )


def test_a_long_value_does_not_fill_the_report(tmp_path):
    [sentence] = told(tmp_path, f"question={'x' * 400}")
    assert len(sentence) < 200


def test_a_plan_remembers_the_reference_arm_that_is_not_run(tmp_path):
    path = tmp_path / "s.yaml"
    lone = make_plan(path, arms=("eps", "guidance-1.0"))
    assert lone.options["references_not_run"] == {"eps": "prior", "guidance-1.0": "prior"}
    assert "references_not_run" not in make_plan(path, arms=("prior", "eps")).options


# --- what the reports make of it ------------------------------------------------------------------


def partial_run(folder):
    """Write a run of two arms whose reference arm was not run, and of one that has none."""
    arms = tuple(
        replace(arm, reference=None)
        for arm in a_plan().arms
        if arm.name in ("guidance-1", "guidance-4", "caption-only")
    )
    lost = {"guidance-1": "prior", "guidance-4": "prior"}
    return write_run(folder, a_plan(arms=arms, options={"references_not_run": lost}))


LOST = "No comparison of guidance-1 and guidance-4: their reference arm prior was not run."


def test_an_arm_without_its_reference_arm_says_that_it_is_not_compared(tmp_path):
    folder = partial_run(tmp_path / "run")
    run = read_run(folder)
    assert answer(run).headline.endswith(LOST)
    rows = {row.name: row.detail for row in arm_tables(run)[0].rows}
    assert rows["guidance-1"] == (
        "guidance_scale = 1.0; no comparison: its reference arm prior was not run"
    )
    assert "no comparison" not in rows["caption-only"]
    made = render(folder, ["html", "md"])
    for file in (made["html"], made["md"]):
        text = " ".join(file.read_text("utf-8").split())
        assert text.count(LOST) == 2, file  # in the answer and under the cautions


def test_one_lost_reference_takes_the_singular(tmp_path):
    arms = tuple(replace(arm, reference=None) for arm in a_plan().arms if arm.name == "guidance-1")
    plan = a_plan(arms=arms, options={"references_not_run": {"guidance-1": "prior"}})
    headline = answer(read_run(write_run(tmp_path / "run", plan))).headline
    assert headline == (
        "Nothing is compared: the run has one arm, guidance-1. "
        "No comparison of guidance-1: its reference arm prior was not run."
    )
