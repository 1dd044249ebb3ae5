"""Votes on real run folders: arms by name, pictures by the run's list, numbers in its report."""

from __future__ import annotations

import json

import pytest
from report_fixtures import write_run
from report_plans import a_small_plan
from test_votes_study import bring, prefers, the_answers

from dalle2eval.records import InputError
from dalle2eval.votes.arms import find_arms
from dalle2eval.votes.study import Design, make_study, open_study
from dalle2eval.votes.tally import put_into_run, tally
from reports import render


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "quick", a_small_plan())


def test_run_stands_for_all_its_arms_and_a_colon_for_one(run, tmp_path):
    other = write_run(tmp_path / "other", a_small_plan())
    assert [arm.label for arm in find_arms([str(run)])] == ["prior", "guidance-1"]
    labels = [arm.label for arm in find_arms([f"{run}:prior", f"{other}:prior"])]
    assert labels == ["quick:prior", "other:prior"]
    with pytest.raises(InputError, match='did you mean "prior"'):
        find_arms([f"{run}:priro", str(other)])
    with pytest.raises(InputError, match="names 1"):
        find_arms([f"{run}:prior"])
    with pytest.raises(InputError, match="--question"):
        open_study([str(run)], None, None)


def test_unknown_question_is_refused_with_a_near_match(run):
    with pytest.raises(InputError, match='did you mean "photorealism"'):
        make_study(find_arms([str(run)]), Design(question="fotorealism"))


def test_tally_stands_in_the_report_escaped_and_once(run, tmp_path):
    study = make_study(find_arms([str(run)]), Design(question="caption"), tmp_path / "study")
    hostile = "<img src=x onerror=alert(1)>"
    bring(study, tmp_path, the_answers(study, prefers("prior")))
    wrong = the_answers(study, lambda showing: "tie", voter=hostile, key="h" * 36)
    bring(study, tmp_path, wrong)
    for _ in range(2):
        put_into_run(tally(study), run)
    made = render(run, ("html", "md"))
    page, text = (made[name].read_text("utf-8") for name in ("html", "md"))
    assert page.count(study.question.asks) == 2  # the heading and the name of its table
    assert "onerror" in page
    assert hostile not in page
    assert text.count(hostile) == text.count(f"\\{hostile}") == 1
    assert "100.0%" in page
    assert "100.0%" in text


def test_run_without_votes_has_no_such_section(run):
    made = render(run, ("html", "md"))
    assert "What people preferred" not in made["html"].read_text("utf-8")
    assert "What people preferred" not in made["md"].read_text("utf-8")


def test_votes_of_another_run_and_damaged_votes_are_refused(run, tmp_path):
    study = make_study(find_arms([str(run)]), Design(question="caption"), tmp_path / "study")
    bring(study, tmp_path, the_answers(study, prefers("prior")))
    result = tally(study)
    stranger = {**result, "runs": {"prior": {"run": "x", "arm": "prior", "fingerprint": "0" * 64}}}
    with pytest.raises(InputError, match="no run of this study"):
        put_into_run(stranger, run)
    put_into_run(result, run)
    path = run / "votes.json"
    edited = json.loads(path.read_text())
    edited["studies"][0]["win_rates"][0]["estimate"]["low"] = 2.0
    path.write_text(json.dumps(edited))
    with pytest.raises(InputError, match=r"votes\.json: damaged"):
        render(run, ("html",))
    path.write_text("[]")
    with pytest.raises(InputError, match=r"votes\.json: damaged"):
        render(run, ("html",))
