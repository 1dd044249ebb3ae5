"""The runner's folder as the reports read it: the two meet in files alone, so here for once."""

from __future__ import annotations

import json

from run_fixtures import make_site, make_work

from ablations.runner import run_work
from reports import read_run, render


def test_what_the_runner_leaves_the_reports_can_read(tmp_path):
    folder = tmp_path / "run"
    run_work(make_work(tmp_path / "s.yaml"), make_site(folder, tmp_path / "store"))
    made = render(folder, ("html", "md", "csv", "tex", "parquet", "json"))
    assert all(path.is_file() for path in made.values())
    run, summary = read_run(folder), json.loads((folder / "summary.json").read_text())
    assert len(run.estimates) == len(summary["estimates"]) > 0
    assert len(run.comparisons) == len(summary["comparisons"]) > 0
    assert {stage.stage for stage in run.cost.stages} == set(summary["cost"]["stages"])
    page = made["html"].read_text("utf-8")
    assert "Does it work?" in page
    assert page.count("<img") > 3 * 20  # three arms or more, ten prompts, two seeds
