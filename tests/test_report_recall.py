"""Recall, which guidance pays with, stands beside fidelity and alignment where it was measured."""

from dataclasses import replace

from report_fixtures import write_run
from report_plans import a_small_plan

from dalle2eval.records import Estimate
from reports.plots import guidance_plots
from reports.reading import read_run


def test_recall_is_drawn_against_guidance_only_where_a_run_holds_it(tmp_path):
    run = read_run(write_run(tmp_path / "run", a_small_plan()))
    titles = [plot.title for plot in guidance_plots(run)]
    assert "Recall against guidance" not in titles
    recall = {
        (arm.name, "recall_scenes", "all"): Estimate(
            metric="recall_scenes",
            value=0.6 - 0.1 * number,
            low=0.5 - 0.1 * number,
            high=0.7 - 0.1 * number,
            n=4,
            method="jackknife",
            higher_is_better=True,
        )
        for number, arm in enumerate(run.arms)
    }
    plots = guidance_plots(replace(run, estimates={**run.estimates, **recall}))
    assert [plot.title for plot in plots] == [*titles[:2], "Recall against guidance", titles[2]]
    assert len(plots[2].points) == 2
    assert len(plots[2].curve) == 2
    assert "guidance-1: Recall 0.50 [0.40, 0.60]" in plots[2].text
