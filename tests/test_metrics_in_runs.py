"""Metrics that need more than features of a run: wired in, or unknown with a reason; never lost."""

import json
from dataclasses import replace

import numpy as np
import pytest
from fake_model import FakeModel
from run_fixtures import JUDGES, make_plan, make_site

import ablations.plan as planning
from ablations.catalogue import tables
from ablations.runner import run_work
from dalle2eval.evaluate import memorised_scores, r_precision_scores
from dalle2eval.records import SampleKey
from dalle2eval.statistics import Features

KEYS = tuple(SampleKey(prompt_id=f"p{i}", seed=0) for i in range(4))


@pytest.fixture
def numbers(tmp_path, monkeypatch):
    """Return the estimates over all prompts of a run of fakes, by metric."""

    def run(metrics, **judges):
        monkeypatch.setattr(planning, "TRAINING_PICTURES", 16)
        monkeypatch.setattr(planning, "FRESH_PICTURES", 104)
        monkeypatch.setattr(planning, "PICTURES_A_UNIT", 8)
        plan = make_plan(tmp_path / "suite.yaml", arms=("prior",))
        plan = replace(plan, metrics=metrics, primary_metric=metrics[0])
        work = planning.plan_work(plan, FakeModel(), replace(JUDGES, **judges))
        run_work(work, make_site(tmp_path / "run", tmp_path / "store"))
        summary = json.loads((tmp_path / "run" / "summary.json").read_text())
        return {e["metric"]: e for e in summary["estimates"] if e["slice"] == "all"}

    return run


def test_r_precision_and_copies_are_measured_in_a_run(numbers):
    found = numbers(("r_precision", "memorised_scenes"), needs_memory=True, training_stream=2)
    assert 0 <= found["r_precision"]["value"] <= 1
    assert found["r_precision"]["n"] == 20
    assert found["memorised_scenes"]["low"] <= found["memorised_scenes"]["value"]
    assert "clip_score" not in found  # it was not asked for


def test_what_cannot_be_measured_is_told_with_its_reason(numbers):
    found = numbers(("memorised_scenes", "aesthetic", "lpips_within_prompt"), needs_memory=True)
    assert found["memorised_scenes"]["value"] is None
    assert "training pictures of this model are not known" in found["memorised_scenes"]["reason"]
    assert found["memorised_scenes"]["num_unscored"] == 20
    assert "no aesthetic head" in found["aesthetic"]["reason"]
    assert "AlexNet" in found["lpips_within_prompt"]["reason"]


def test_a_model_that_copies_is_flagged_by_the_evaluator():
    rng = np.random.default_rng(0)
    training, fresh = rng.standard_normal((2, 300, 6)).astype(np.float32)
    copies = Features(keys=KEYS, values=training[:4] + 1e-3, extractor="judge")
    honest = Features(keys=KEYS, values=rng.standard_normal((4, 6)), extractor="judge")
    flagged = memorised_scores("memorised_scenes", copies, training, fresh)
    assert [score.value for score in flagged] == [1.0] * 4
    assert sum(s.value for s in memorised_scores("memorised_scenes", honest, training, fresh)) == 0


def test_too_few_fresh_pictures_leave_copies_unknown():
    rng = np.random.default_rng(1)
    training, fresh = rng.standard_normal((2, 99, 6)).astype(np.float32)
    images = Features(keys=KEYS, values=training[:4], extractor="judge")
    found = memorised_scores("memorised_scenes", images, training, fresh)
    assert {score.reason for score in found} == {"held out: needs at least 100 images, got 99"}


def test_one_text_leaves_r_precision_unknown():
    images = np.eye(4, dtype=np.float32)
    scores = r_precision_scores(KEYS, images, images, ["same"] * 4)
    assert {score.value for score in scores} == {None}
    assert "two different prompts" in scores[0].reason


def test_a_run_offers_no_metric_under_another_extractors_name():
    """Its features are the judge's: calling their distance FID would be false."""
    offered = tables().metrics
    assert {"fd_scenes", "memorised_scenes", "cmmd", "r_precision"} <= offered
    assert not {"fid", "kid_inception", "fd_dinov2"} & offered
