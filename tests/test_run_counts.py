"""Counts are counted: not `made` copied from `asked`, nor `unscored` always 0."""

import json
from dataclasses import replace

import pytest
from fake_model import FakeJudge, FakeModel, FakeProbe
from report_fixtures import write_run
from report_plans import a_plan
from run_fixtures import make_site, make_work

from ablations.counting import count_samples
from ablations.executors import load
from ablations.runner import run_work
from ablations.workshop import Workshop
from dalle2eval.records import Score
from reports import read_run, render
from reports.cautions import cautions
from reports.pictures import Thumbnails
from reports.tables import arm_tables


class HesitantProbe(FakeProbe):
    """Cannot judge p00, cannot read p01 and p03, and sees nothing wrong with the others."""

    def score(self, images, prompts, keys):
        return [self._said(score) for score in super().score(images, prompts, keys)]

    @staticmethod
    def _said(score):
        name = score.key.prompt_id
        if name == "p00":
            return Score(key=score.key, metric=score.metric, value=None, reason="too dark")
        if name in ("p01", "p03"):
            return replace(score, value=0.0, detail={"read": None, "why": "speckled"})
        return score


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    base = tmp_path_factory.mktemp("counts")
    work = make_work(base / "s.yaml", arms=("prior", "eps"))
    site = make_site(base / "run", base / "store")
    workshop = Workshop(
        open_model=FakeModel, open_judge=FakeJudge, probes={"composition": HesitantProbe()}
    )
    site = replace(site, workshop=workshop)
    run_work(work, site)
    return work, site


def test_what_could_not_be_scored_is_counted_with_its_reason(finished):
    _, site = finished
    told = json.loads((site.folder / "summary.json").read_text())["counts"]["prior"]
    # Ten prompts with two seeds each; the reader's failures are wrong, not unscored.
    assert told == {
        "asked": 20,
        "made": 20,
        "scored": 18,
        "unscored": 2,
        "unscored_why": {"composition.colour: too dark": 2},
        "unreadable": 4,
        "unreadable_why": {"speckled": 4},
    }


def test_a_picture_that_is_gone_is_not_made(finished):
    """p02 asks for a word, so it is drawn at two sizes: either one missing is enough."""
    work, site = finished
    judged = {arm.arm.name: load(arm.judged, site.store, site.workshop) for arm in work.arms}
    gone = [site.folder / f"samples/prior/{name}-0.png" for name in ("64/p00", "256/p02")]
    kept = [path.read_bytes() for path in gone]
    try:
        for path in gone:
            path.unlink()
        counts = count_samples(work, judged, site.folder)
    finally:
        for path, content in zip(gone, kept, strict=True):
            path.write_bytes(content)
    assert (counts["prior"]["made"], counts["eps"]["made"]) == (18, 20)
    assert counts["prior"]["asked"] == 20


def test_a_sample_that_no_judge_was_asked_about_is_not_scored(finished):
    work, site = finished
    counts = count_samples(work, {arm.arm.name: {"scores": []} for arm in work.arms}, site.folder)
    assert counts["eps"]["scored"] == 0
    assert counts["eps"]["unscored_why"] == {"no judge was asked about it": 20}


# --- what the reports make of it ------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return read_run(write_run(tmp_path_factory.mktemp("runs") / "run", a_plan()))


def test_the_share_of_unreadable_pictures_stands_beside_the_rates_that_they_lower(run):
    counted = {
        (arm, metric): sum(
            score.detail["read"] is None
            for a, score in run.all_scores()
            if (a, score.metric) == (arm, metric) and score.detail and "read" in score.detail
        )
        for arm in run.counts
        for metric in run.metrics
    }
    assert any(counted.values())
    shown = {
        (row.name, column.metric): cell.unreadable
        for table in arm_tables(run)
        for row in table.rows
        for column, cell in zip(table.columns, row.cells, strict=True)
    }
    for key, count in counted.items():
        told = shown[key]
        assert told.startswith(f"{count} of ") if count else told == ""
    text = " ".join(render(run.folder, ["html"])["html"].read_text("utf-8").split())
    markdown = render(run.folder, ["md"])["md"].read_text("utf-8")
    for told in filter(None, shown.values()):
        assert "unreadable (" in told
        assert told in text
        assert told in markdown


def test_cautions_say_how_many_were_unreadable_and_why(run):
    first = next(iter(run.counts))
    counts = replace(
        run.counts[first],
        unscored=1,
        unscored_why={"text.cer: too dark": 1},
        unreadable=3,
        unreadable_why={"speckled": 2, "no plain background": 1},
    )
    changed = replace(run, counts={first: counts})
    told = cautions(changed, Thumbnails(run.folder))
    assert (
        f"Pictures that the exact reader could not read count as wrong: {first} 3 of 24 "
        "(most often, 2 times: speckled)."
    ) in told
    assert any("in no average (most often, 1 times: text.cer: too dark)" in line for line in told)
