"""The whole house at once on the tiny preset: real networks, judge, probes and report."""

import json

import pytest
from cli_fixtures import call

import dalle2eval
from reports.reading import read_run

TINY = (
    "model.name=tiny",
    "sizes={all: 64}",
    "showcase.size=64",
    "showcase.n=1",
    "model.decoder_steps=2",
    "model.prior_steps=2",
    "reference_images.n_per_prompt=4",
)
CHOICES = {"overrides": TINY, "limit": 6, "arms": ("prior", "text-embedding"), "device": "cpu"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    base = tmp_path_factory.mktemp("end_to_end")
    folder = dalle2eval.run("quick", out=base / "run", store=base / "store", **CHOICES)
    return base, folder


def test_a_run_leaves_every_file_that_the_design_promises(finished):
    _, folder = finished
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "plan.yaml", "environment.json", "events.jsonl", "samples", "scores.parquet",
        "contributions.parquet", "estimates.parquet", "comparisons.parquet", "summary.json",
        "summary.md", "plots.svg", "summary.csv", "summary.tex", "report.html",
    }  # fmt: skip
    assert len(list(folder.glob("samples/*/64/*.png"))) == 2 * (6 * 2 + 1)


def test_every_score_has_a_value_or_a_reason_and_every_estimate_its_n(finished):
    run = read_run(finished[1])
    metrics = {score.metric for _, score in run.all_scores()}
    assert {"clip_score", "composition.readable", "composition.colour"} <= metrics
    keys = {key for arm, key in run.scores if arm == "prior"}
    assert len(keys) == 12
    estimate = run.estimates["prior", "kid_scenes", "all"]
    assert estimate.n == 12
    assert estimate.low <= estimate.value <= estimate.high
    assert estimate.extractor.startswith("scenes-judge@")
    assert run.comparison("text-embedding", "clip_score").n_pairs == 12


def test_judges_are_tested_before_they_score(finished):
    run = read_run(finished[1])
    assert {"shape", "colour", "count", "word by OCR"} <= {test.task for test in run.self_tests}
    events = [json.loads(line) for line in (finished[1] / "events.jsonl").read_text().splitlines()]
    stages = [event["stage"] for event in events if event["event"] == "unit"]
    assert stages[:2] == ["self-test", "self-test"]


def test_the_environment_names_code_machine_and_weights(finished):
    told = json.loads((finished[1] / "environment.json").read_text())
    assert {"tiny", "scenes-judge"} == set(told["weights"])
    assert told["device"] == "cpu"
    assert told["packages"]["torch"]


def test_a_partial_run_says_so_in_every_summary(finished):
    """The suite has six arms and 80 prompts; this run is of two and six, and another model."""
    notes = json.loads((finished[1] / "summary.json").read_text())["notes"]
    markdown = (finished[1] / "summary.md").read_text("utf-8")
    page = (finished[1] / "report.html").read_text("utf-8")
    for told in (
        "Partial run: 2 of the suite's 6 arms (prior, text-embedding); left out: ",
        "Partial run: 6 of the suite's 80 scored prompts in each arm.",
        "model.name is tiny (the suite: scenes)",
    ):
        assert any(told in note for note in notes)
        assert told in markdown
        assert told in page.replace("&#39;", "'")


def test_the_same_call_finds_everything_done(finished):
    base, folder = finished
    before = (folder / "summary.json").read_bytes(), (folder / "report.html").read_bytes()
    dalle2eval.run("quick", out=folder, store=base / "store", **CHOICES)
    assert ((folder / "summary.json").read_bytes(), (folder / "report.html").read_bytes()) == before
    forecast = dalle2eval.plan("quick", store=base / "store", **CHOICES)
    assert forecast["cached"] == forecast["units"]


def test_the_store_is_shared_and_the_bytes_do_not_depend_on_it(finished, tmp_path):
    _, folder = finished
    again = dalle2eval.run("quick", out=tmp_path / "run", store=tmp_path / "store", **CHOICES)
    for path in [*sorted(folder.rglob("*.png")), folder / "scores.parquet"]:
        assert (again / path.relative_to(folder)).read_bytes() == path.read_bytes(), path


def test_sample_draws_all_stages(capsys, tmp_path):
    chosen = ("--model", "tiny", "--device", "cpu", "--set", "decoder_steps=1", "--n", 2)
    prompt, out = 'a "red" circle/..', tmp_path / "s"
    answer = call(capsys, "sample", prompt, *chosen, "--stages", "--out", out, "--json")
    assert answer.code == 0, answer.err
    files = json.loads(answer.out)["files"]
    assert len(files) == 2 * 3
    assert {path.name for path in (tmp_path / "s").iterdir()} == {
        f"00-a-red-circle-{seed}-{size}.png" for seed in (0, 1) for size in (16, 32, 64)
    }
