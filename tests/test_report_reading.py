"""Reports: a folder that is incomplete, damaged, edited or too new is refused in one clear line."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from report_fixtures import write_run
from report_plans import a_small_plan

from dalle2eval.gate.measured import read_contributions
from dalle2eval.records import InputError, SampleKey
from reports import read_run, render
from reports.over_trainings import over_trainings

FILES = (
    "plan.yaml",
    "environment.json",
    "scores.parquet",
    "estimates.parquet",
    "comparisons.parquet",
    "summary.json",
)


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "quick", a_small_plan())


@pytest.fixture
def folder(good, tmp_path) -> Path:
    return shutil.copytree(good, tmp_path / "run")


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        render(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


def edit_json(path: Path, change) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def test_reading_gives_back_what_was_written(good):
    run = read_run(good)
    assert run.plan == a_small_plan()
    assert len(run.gallery) == 2 * (4 + 2)
    assert run.estimates["prior", "fd_scenes", "all"].value == pytest.approx(4.9)
    assert run.comparison("guidance-1", "fd_scenes").verdict == "worse"
    assert run.comparison("prior", "fd_scenes") is None
    assert run.metrics[0] == "fd_scenes"
    scores = run.scores_of("prior", SampleKey(prompt_id="single-0", seed=0))
    assert {score.metric for score in scores} == {
        "clip_score", "composition.object", "composition.colour",
    }  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_missing_file_is_named(folder, name):
    (folder / name).unlink()
    assert refusal(folder).startswith(f"{folder / name}: missing")


@pytest.mark.parametrize("name", FILES)
def test_truncated_file_is_named(folder, name):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    assert str(folder / name) in refusal(folder)


def test_missing_folder_is_named(tmp_path):
    assert "no such run folder" in refusal(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["plan.yaml", "summary.json"])
def test_newer_schema_is_told_from_damage(folder, name):
    path = folder / name
    text = path.read_text("utf-8")
    path.write_text(text.replace("schema_version: 1", "schema_version: 2")
                    .replace('"schema_version": 1', '"schema_version": 2'), "utf-8")  # fmt: skip
    message = refusal(folder)
    assert f"{path}: schema_version 2 comes from a newer release" in message


def test_edited_number_is_not_shown_as_a_result(folder):
    edit_json(folder / "summary.json", lambda data: data["estimates"][0].update(value=0.1))
    assert "disagrees with estimates.parquet about fd_scenes of prior" in refusal(folder)


def test_dropped_estimate_is_noticed(folder):
    edit_json(folder / "summary.json", lambda data: data["estimates"].pop())
    assert "only one of them has" in refusal(folder)


def edit_table(path: Path, change) -> None:
    frame = pd.read_parquet(path)
    change(frame).to_parquet(path, index=False)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda f: f.assign(value=f.value.where(f.metric != "clip_score", 95.0)),
            "disagrees with estimates.parquet about clip_score of prior: 95",
        ),
        (lambda f: f.drop(index=f.index[f.metric == "clip_score"][0]), "about clip_score of prior"),
        (lambda f: pd.concat([f, f.head(1)]), "prompt single-0 seed 0, occurs twice"),
        (lambda f: f.assign(seed=f.seed.replace(0, 77)), "seed 77 is not in plan.yaml"),
        (lambda f: f.assign(arm="ghost"), "arm 'ghost' is not in plan.yaml"),
    ],
)
def test_scores_that_do_not_give_their_estimate_are_refused(folder, change, told):
    """All CLIP scores could be set to 95, and rows doubled, and nobody noticed."""
    edit_table(folder / "scores.parquet", change)
    message = refusal(folder)
    assert message.startswith(f"{folder / 'scores.parquet'}: ")
    assert told in message


def test_unscored_samples_are_not_in_the_mean(folder):
    """They have no value, so that the mean of the others is the estimate."""
    scores = pd.read_parquet(folder / "scores.parquet")
    first = scores.index[scores.metric == "clip_score"][0]
    rest = scores[(scores.metric == "clip_score") & (scores.arm == "prior")].drop(index=first)
    scores.loc[first, ["value", "reason"]] = [None, "not decoded"]
    scores.to_parquet(folder / "scores.parquet", index=False)

    def without(frame):
        row = (frame.arm == "prior") & (frame.metric == "clip_score") & (frame.slice == "all")
        mean = rest.value.mean()
        columns = ["value", "low", "high", "n", "num_unscored"]
        frame.loc[row, columns] = [mean, mean - 0.1, mean + 0.1, len(rest), 1]
        return frame

    edit_table(folder / "estimates.parquet", without)
    estimates = pd.read_parquet(folder / "estimates.parquet").set_index(["arm", "metric", "slice"])
    edit_json(
        folder / "summary.json",
        lambda data: [
            row.update(value=float(estimates.value[row["arm"], row["metric"], row["slice"]]))
            for row in data["estimates"]
            if row["value"] is not None
        ],
    )
    assert read_run(folder).estimates["prior", "clip_score", "all"].num_unscored == 1


VARIANCES = {"variance_over_training_seeds": 0.1, "variance_over_samples": 0.1}
WRONG = {  # what a field of summary.json or environment.json must not be
    "size a text": ("summary.json", lambda d: d["gallery"][0].update(size="64")),
    "size a list": ("summary.json", lambda d: d["gallery"][0].update(size=[64])),
    "path with NUL": ("summary.json", lambda d: d["gallery"][0].update(path="samples/\0.png")),
    "path no UTF-8": ("summary.json", lambda d: d["gallery"][0].update(path="\ud800.png")),
    "path no text": ("summary.json", lambda d: d["gallery"][0].update(path=7)),
    "seed a text": ("summary.json", lambda d: d["gallery"][0].update(seed="0")),
    "total a text": ("summary.json", lambda d: d["cost"].update(total_s="long")),
    "total no number": ("summary.json", lambda d: d["cost"].update(total_s=float("nan"))),
    "total too large": ("summary.json", lambda d: d["cost"].update(total_s=10**400)),
    "seconds a text": ("summary.json", lambda d: d["cost"]["stages"]["prior"].update(seconds="1")),
    "made a text": ("summary.json", lambda d: d["counts"]["prior"].update(made="x")),
    "reasons no counts": (
        "summary.json",
        lambda d: d["counts"]["prior"].update(unscored_why={"dark": "often"}),
    ),
    "judged a bool": ("summary.json", lambda d: d["self_tests"][0].update(n=True)),
    "packages a list": ("environment.json", lambda d: d.update(packages=["torch"])),
    "git a text": ("environment.json", lambda d: d.update(git="x")),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_field_of_another_type_is_refused_with_its_file(folder, what):
    """Each of them ended in a Python error that named no file."""
    name, change = WRONG[what]
    edit_json(folder / name, change)
    assert refusal(folder).startswith(f"{folder / name}: ")


@pytest.mark.parametrize("row", [{"detail": "[1]"}, {"metric": None}, {"detail": "[" * 100_000}])
def test_a_score_of_another_type_is_refused_with_its_file(folder, row):
    edit_table(folder / "scores.parquet", lambda frame: frame.assign(**row))
    assert refusal(folder).startswith(f"{folder / 'scores.parquet'}: damaged, ")


@pytest.mark.parametrize("name", ["summary.json", "environment.json", "votes.json"])
def test_json_too_deep_to_read_is_refused_with_its_file(folder, name):
    (folder / name).write_text("[" * 100_000)
    assert refusal(folder).startswith(f"{folder / name}: damaged, ")


@pytest.mark.parametrize(
    "change",
    [
        {"steps": "many"},
        {"seeds": ["0"]},
        {"arms": {"prior": [{"metric": "m", "mean": "x", "values": [], **VARIANCES}]}},
    ],
)
def test_trainings_of_another_type_are_refused_with_their_file(good, change):
    plan = replace(a_small_plan(), options={"training": {"repeats": {}}})
    told = {"steps": 10, "seeds": [0], "arms": {}, **change}
    with pytest.raises(InputError, match=r"summary\.json: damaged, "):
        over_trainings(replace(read_run(good), plan=plan), {"training": told})


@pytest.mark.parametrize("values", [[None], ["much"]])
def test_contributions_of_another_type_are_refused_with_their_file(tmp_path, values):
    path = tmp_path / "contributions.parquet"
    row = {"arm": ["prior"], "prompt_id": ["single-0"], "seed": [0], "metric": ["fd_scenes"]}
    pd.DataFrame({**row, "value": values}).to_parquet(path)
    with pytest.raises(InputError, match=r"contributions\.parquet: damaged, "):
        read_contributions(path)


def test_edited_plan_is_noticed(folder):
    path = folder / "plan.yaml"
    path.write_text(
        path.read_text("utf-8").replace("guidance_scale: 1.0", "guidance_scale: 9.0"), "utf-8"
    )
    assert "belongs to another plan" in refusal(folder)


def test_estimate_of_an_unknown_arm_is_refused(folder):
    path = folder / "estimates.parquet"
    frame = pd.read_parquet(path)
    frame.loc[0, "arm"] = "ghost"
    frame.to_parquet(path)
    assert "arm 'ghost' is not in plan.yaml" in refusal(folder)


def test_number_without_interval_is_refused(folder):
    path = folder / "estimates.parquet"
    frame = pd.read_parquet(path)
    frame.loc[0, "low"] = None
    frame.to_parquet(path)
    assert "needs low, high" in refusal(folder)


def test_missing_column_is_named(folder):
    path = folder / "comparisons.parquet"
    pd.read_parquet(path).drop(columns=["p_value"]).to_parquet(path)
    assert "lacks the column p_value" in refusal(folder)


@pytest.mark.parametrize("place", ["../../etc/passwd", "/etc/passwd", "samples/../../x.png"])
def test_picture_outside_the_folder_is_refused(folder, place):
    edit_json(folder / "summary.json", lambda data: data["gallery"][0].update(path=place))
    assert "outside the run folder" in refusal(folder)


def test_linked_picture_outside_the_folder_is_refused(folder, tmp_path):
    picture = folder / json.loads((folder / "summary.json").read_text())["gallery"][0]["path"]
    picture.rename(tmp_path / "elsewhere.png")
    picture.symlink_to(tmp_path / "elsewhere.png")
    assert "outside the run folder" in refusal(folder)


@pytest.mark.parametrize("content", [None, b"not a picture"])
def test_lost_or_damaged_picture_is_named(folder, content):
    picture = folder / json.loads((folder / "summary.json").read_text())["gallery"][0]["path"]
    picture.unlink() if content is None else picture.write_bytes(content)
    assert str(picture) in refusal(folder)


def test_refusal_leaves_the_old_report_as_it_was(folder):
    made = render(folder)
    before = {name: path.read_bytes() for name, path in made.items()}
    (folder / "summary.json").write_text("{}")
    refusal(folder)
    assert {name: path.read_bytes() for name, path in made.items()} == before
