"""`compare`: the right pairs, the right sign, the flips; refusal of what is not comparable."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from cli_fixtures import call
from report_fixtures import write_run
from report_plans import a_plan

from dalle2eval.comparing import compare
from dalle2eval.comparing.numbers import corrected
from dalle2eval.records import Comparison, InputError, NotComparable, to_json
from reports.reading import read_run
from reports.rendering import render


def contribute(run, shift=0.0):
    """Give a run what its images add to FD, as a real one has it."""
    record, rng, rows = read_run(run), np.random.default_rng(0), []
    for number, arm in enumerate(record.arms):
        for prompt in record.plan.prompts:
            for seed in record.plan.seeds:
                value = rng.normal() + shift * number
                row = {"arm": arm.name, "prompt_id": prompt.id, "seed": seed}
                rows.append({**row, "metric": "fd_scenes", "value": value})
    pd.DataFrame(rows).to_parquet(run / "contributions.parquet", index=False)
    return run


def other_plan(run, target, change):
    """Write the run again from a changed plan."""
    plan = read_run(run).plan
    return contribute(write_run(target, change(plan)))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    arms = tuple(arm for arm in a_plan().arms if arm.name in ("prior", "guidance-1"))
    plan = a_plan(arms=arms, seeds=(0,))
    return contribute(write_run(tmp_path_factory.mktemp("compare") / "one", plan))


@pytest.fixture(scope="module")
def both(run, tmp_path_factory):
    """Two arms of one run."""
    out = tmp_path_factory.mktemp("compared") / "out"
    return compare(f"{run}:prior", f"{run}:guidance-1", out=out)


def rows_of(folder, metric, part="all"):
    rows = json.loads((folder / "summary.json").read_text())["comparisons"]
    return [row for row in rows if row["metric"] == metric and row["slice"] == part]


def table(run, metric):
    """Return one metric's scores by (prompt, seed), a column an arm."""
    frame = pd.read_parquet(run / "scores.parquet")
    frame = frame[frame.metric == metric]
    return frame.pivot_table(index=["prompt_id", "seed"], columns="arm", values="value")


def test_the_difference_is_b_minus_a_over_pairs(run, both, tmp_path):
    scores = table(run, "clip_score")
    expected = (scores["guidance-1"] - scores["prior"]).mean()
    (row,) = rows_of(both, "clip_score")
    assert row["difference"] == pytest.approx(expected)
    assert (row["arm"], row["reference"]) == ("B:guidance-1", "A:prior")
    swapped = compare(f"{run}:guidance-1", f"{run}:prior", out=tmp_path / "out")
    assert rows_of(swapped, "clip_score")[0]["difference"] == pytest.approx(-expected)


def test_a_metric_over_sets_is_compared_by_contributions(run, both):
    estimates = read_run(run).estimates
    values = [estimates[arm, "fd_scenes", "all"].value for arm in ("guidance-1", "prior")]
    (row,) = rows_of(both, "fd_scenes")
    assert row["difference"] == pytest.approx(values[0] - values[1])
    assert row["method"] == "paired-influence, first order"


def test_without_contributions_the_metric_says_so_and_the_rest_is_compared(run, tmp_path):
    shutil.copytree(run, tmp_path / "bare")
    (tmp_path / "bare" / "contributions.parquet").unlink()
    bare = tmp_path / "bare"
    folder = compare(f"{run}:prior", f"{bare}:guidance-1", out=tmp_path / "out")
    (row,) = rows_of(folder, "fd_scenes")
    assert row["difference"] is None
    assert "B kept no contributions" in row["reason"]
    assert rows_of(folder, "clip_score")[0]["difference"] is not None


def test_every_flip_is_listed_and_shown_with_both_pictures(run, both):
    summary = json.loads((both / "summary.json").read_text())
    page, text = (both / "report.html").read_text(), (both / "summary.md").read_text()
    flipped = 0
    for found in summary["flips"]:
        scores = table(run, found["metric"]).dropna()
        lost = scores[(scores["prior"] == 1) & (scores["guidance-1"] == 0)].index
        won = scores[(scores["prior"] == 0) & (scores["guidance-1"] == 1)].index
        assert {(f["prompt_id"], f["seed"]) for f in found["lost"]} == set(lost)
        assert {(f["prompt_id"], f["seed"]) for f in found["won"]} == set(won)
        assert found["n"] == len(scores)
        flipped += len(lost) + len(won)
    assert flipped > 0
    flips = page.split('id="flips"')[1].split("</section>")[0]
    assert flips.count('class="row flip"') == flipped
    assert flips.count("data:image/webp") == 2 * flipped
    assert "## Flips" in text
    assert f"of {summary['flips'][0]['n']} judged on both sides" in text


def test_a_comparison_is_a_run_folder_that_can_be_rendered_again(both):
    before = (both / "report.html").read_bytes()
    render(both)
    assert (both / "report.html").read_bytes() == before
    assert (both / "summary.csv").exists()


def test_a_plain_run_has_no_flips(run):
    render(run, ("html",))
    assert 'id="flips"' not in (run / "report.html").read_text()


def test_equal_runs_differ_by_nothing_and_arms_are_paired_by_name(run, tmp_path):
    shutil.copytree(run, tmp_path / "again")
    folder = compare(run, tmp_path / "again", out=tmp_path / "out")
    rows = json.loads((folder / "summary.json").read_text())["comparisons"]
    assert {(r["arm"], r["reference"]) for r in rows} == {
        ("B:prior", "A:prior"),
        ("B:guidance-1", "A:guidance-1"),
    }
    assert {r["difference"] for r in rows if r["difference"] is not None} == {0.0}
    assert "better" not in {r["verdict"] for r in rows}


def test_what_is_not_shared_is_left_out_and_said(run, tmp_path):
    fewer = other_plan(
        run,
        tmp_path / "fewer",
        lambda p: a_plan(arms=p.arms[:1], prompts=p.prompts[1:], seeds=(0, 1)),
    )
    folder = compare(run, fewer, out=tmp_path / "out")
    summary = json.loads((folder / "summary.json").read_text())
    told = "\n".join(summary["notes"])
    assert "Only A has the arms guidance-1: left out." in told
    assert "Only A has 1 of its 12 prompts: left out." in told
    assert "Only B has the seeds 1: left out." in told
    shared = table(run, "clip_score")["prior"].drop(index=read_run(run).plan.prompts[0].id)
    (estimate,) = [
        e
        for e in summary["estimates"]
        if (e["arm"], e["metric"], e["slice"]) == ("A:prior", "clip_score", "all")
    ]
    assert (estimate["value"], estimate["n"]) == (pytest.approx(shared.mean()), 11)
    assert "have no partner" in rows_of(folder, "fd_scenes")[0]["reason"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda p: a_plan(arms=p.arms, prompts=p.prompts, seeds=(9,)), "other seeds: A has 0, B"),
        (
            lambda p: a_plan(
                arms=p.arms,
                seeds=p.seeds,
                prompts=(type(p.prompts[0])(id=p.prompts[0].id, text="a blue cube"),),
            ),
            "other prompts: 'single-0' is 'a red circle' in A, 'a blue cube' in B",
        ),
        (
            lambda p: a_plan(
                arms=p.arms, seeds=p.seeds, prompts=(type(p.prompts[0])(id="zz", text="z"),)
            ),
            "other prompts: A and B share none",
        ),
    ],
)
def test_another_experiment_is_refused_in_one_line(run, tmp_path, change, told):
    other = other_plan(run, tmp_path / "other", change)
    with pytest.raises(NotComparable, match=told):
        compare(run, other, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def edited_summary(run, target, change):
    shutil.copytree(run, target)
    path = target / "summary.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    return target


def test_pictures_of_another_size_are_refused(run, tmp_path):
    def double(data):
        for picture in data["gallery"]:
            picture["size"] *= 2

    other = edited_summary(run, tmp_path / "large", double)
    with pytest.raises(NotComparable, match="other resolution: prompt"):
        compare(run, other, out=tmp_path / "out")


def test_a_caution_says_which_side_it_is_about(run, tmp_path):
    """ "Partial run" stood there without an A or a B."""
    partial = edited_summary(
        run, tmp_path / "part", lambda data: data["notes"].append("Partial run: 40 of 120.")
    )
    shared = json.loads((run / "summary.json").read_text())["notes"]
    folder = compare(f"{run}:prior", f"{partial}:guidance-1", out=tmp_path / "out")
    told = json.loads((folder / "summary.json").read_text())["notes"]
    assert "B: Partial run: 40 of 120." in told
    assert {f"A and B: {note}" for note in shared} <= set(told)


def test_another_judge_loses_its_metric_only(run, tmp_path):
    shutil.copytree(run, tmp_path / "judged")
    other = tmp_path / "judged"
    frame = pd.read_parquet(other / "estimates.parquet")
    frame.loc[frame.metric == "fd_scenes", "extractor"] = "other@222"
    frame.to_parquet(other / "estimates.parquet", index=False)
    folder = compare(f"{run}:prior", f"{other}:guidance-1", out=tmp_path / "out")
    (row,) = rows_of(folder, "fd_scenes")
    assert row["reason"] == "judged by judge-clip@4be1c0d2 in A, by other@222 in B"
    assert "Not compared: fd_scenes of B:guidance-1" in (folder / "summary.md").read_text()


@pytest.mark.parametrize(
    ("a", "b", "told"),
    [
        ("{run}:priro", "{run}:prior", 'no arm "priro".*did you mean "prior"'),
        ("{run}:prior", "{run}:prior", "same arm of the same run"),
        ("{run}", "{run}", "same arm of the same run"),
        ("{run}", "nowhere", "nowhere: no such run folder"),
    ],
)
def test_a_side_that_is_none_is_named(run, tmp_path, a, b, told):
    with pytest.raises(InputError, match=told):
        compare(a.format(run=run), b.format(run=run), out=tmp_path / "out")


def test_a_folder_of_something_else_is_not_written_over(run, both, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty and holds no run"):
        compare(f"{run}:prior", f"{run}:guidance-1", out=tmp_path)
    with pytest.raises(InputError, match="holds a run of another plan"):
        compare(f"{run}:guidance-1", f"{run}:prior", out=both)


def test_a_hostile_arm_is_shown_as_text_and_stays_in_the_folder(run, tmp_path):
    name = "../../<script>alert(1)</script>"

    def renamed(plan):
        spec = plan.arms[0]
        return a_plan(
            arms=(type(spec)(name=name, reference=None, changes={}, settings=spec.settings),),
            prompts=plan.prompts,
            seeds=plan.seeds,
        )

    other = other_plan(run, tmp_path / "hostile", renamed)
    folder = compare(f"{run}:prior", other, out=tmp_path / "deep" / "er" / "out")
    assert "<script>alert" not in (folder / "report.html").read_text()
    made = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*.png")}
    assert made == {"hostile", "deep"}


def test_many_questions_need_more_than_one_small_p_value():
    row = Comparison(
        arm="b",
        reference="a",
        metric="clip_score",
        difference=1.0,
        low=0.1,
        high=1.9,
        n_pairs=9,
        method="t",
        verdict="better",
        p_value=0.04,
    )
    silent = Comparison(**{**to_json(row), "p_value": 0.9, "verdict": "no difference found"})
    assert corrected([row])[0].verdict == "better"
    many = corrected([row] + [silent] * 19)
    assert many[0].verdict == "no difference found"
    assert many[0].p_value == pytest.approx(0.8)


def test_the_command_prints_one_document_and_refuses_with_12(run, tmp_path, capsys):
    arms = (f"{run}:prior", f"{run}:guidance-1")
    answer = call(capsys, "compare", *arms, "--out", tmp_path / "out", "--json")
    assert answer.code == 0
    assert json.loads(answer.out)["flips"]
    assert answer.err == ""
    plan = tmp_path / "out" / "plan.yaml"
    assert yaml.safe_load(plan.read_text())["options"]["sides"]["B"]["arm"] == "guidance-1"
