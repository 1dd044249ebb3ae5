"""The power command: spreads from a finished run, the worst case without one, bad input."""

import json

import numpy as np
import pandas as pd
import pytest
from cli_fixtures import call
from run_fixtures import make_plan

from ablations.power import WORST_SHARE, power_rows, spreads_of_run
from dalle2eval.records import InputError, to_json


@pytest.fixture
def run(tmp_path):
    """Return a run folder of two arms whose paired differences are known, 10 prompts x 2 seeds."""
    plan = make_plan(tmp_path / "suite.yaml", arms=("prior", "eps"))
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "plan.yaml").write_text(json.dumps(to_json(plan)))
    by_prompt = np.random.default_rng(0).standard_normal(10)
    keys = [(f"p{p:02d}", seed) for p in range(10) for seed in (0, 1)]
    rows = [
        {"arm": arm, "prompt_id": p, "seed": s, "metric": "clip_score", "value": 20 + shift, "n": 0}
        for arm in ("prior", "eps")
        for p, s in keys
        for shift in [by_prompt[int(p[1:])] if arm == "eps" else 0.0]
    ]
    pd.DataFrame(rows).to_parquet(folder / "scores.parquet")
    added = [row | {"metric": "fd_scenes", "value": row["value"] - 20} for row in rows]
    pd.DataFrame(added).to_parquet(folder / "contributions.parquet")
    return plan, folder, by_prompt.std(ddof=1)


def test_the_spread_is_that_of_the_prompts_differences(run):
    _, folder, spread = run
    found = spreads_of_run(folder)
    assert found["clip_score"].value == pytest.approx(spread)
    assert found["fd_scenes"].value == pytest.approx(spread)  # 2 images a prompt, summed and scaled
    assert found["clip_score"].pair == "eps against prior"


def test_an_effect_as_large_as_what_is_found_needs_the_prompts_there_are(run):
    plan, folder, _ = run
    ask = {"metrics": ("clip_score",), "power": 0.8, "run": folder}
    first = power_rows(plan, effect=None, **ask)[0]
    again = power_rows(plan, effect=first["detectable"] * 1.0001, **ask)[0]
    assert (first["prompts"], again["needed"]) == (10, 10)
    half = power_rows(plan, effect=first["detectable"] / 2 * 1.0001, **ask)[0]
    assert half["needed"] == 34  # not 40: more prompts also know their spread better


def test_without_a_run_only_shares_are_answered(run):
    plan, _, _ = run
    ask = {"effect": 0.1, "power": 0.8, "run": None}
    share, mean = power_rows(plan, metrics=("composition.colour", "clip_score"), **ask)
    assert share["spread"] == WORST_SHARE
    assert share["needed"] == 395  # (1.96 + 0.84)² x 0.5 / 0.1² = 393, and two for t in place of z
    assert mean["detectable"] is None
    assert "--run" in mean["reason"]


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(InputError, match="not the folder of a finished run"):
        spreads_of_run(tmp_path)


def test_the_command_answers_in_json_and_refuses_nonsense(capsys):
    ask = ("power", "quick", "--metric", "composition.colour")
    code, out, _ = call(capsys, *ask, "--effect", "0.1", "--json")
    assert (code, json.loads(out)["metrics"][0]["needed"]) == (0, 395)
    code, _, err = call(capsys, *ask)
    assert code == 0
    assert "worst case" in err
    code, _, err = call(capsys, *ask, "--effect", "0")
    assert (code, "must be above 0" in err) == (2, True)
    code, _, err = call(capsys, "power", "quick", "--metric", "fd_scene")
    assert (code, "fd_scenes" in err) == (2, True)
