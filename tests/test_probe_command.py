"""`dalle2eval probe`: the answer lies in its folder, and bad input is told before any work."""

import json

import pytest
from cli_fixtures import call

from dalle2eval.probes import PROBES
from dalle2eval.probes.studies import STUDIES
from reports.probe_markdown import probe_markdown

FOUND = {
    "probe": "binding", "version": 1, "model": "<b>evil</b>", "summary": "s",
    "answer": "an *answer*",
    "estimates": [
        {"metric": "binding.probe", "slice": "all", "value": 0.75, "low": 0.5, "high": 0.9, "n": 8,
         "num_unscored": 2, "reason": None},
        {"metric": "binding.decoder", "slice": "all", "value": None, "low": None, "high": None,
         "n": 0, "num_unscored": 8, "reason": "no | picture"},
    ],
    "comparisons": [
        {"metric": "binding.right", "slice": "relation", "arm": "decoder", "reference": "probe",
         "difference": -0.5, "low": -0.7, "high": -0.3, "p_value": 0.001, "verdict": "worse",
         "reason": None},
    ],
    "self_tests": [
        {"judge": "j", "task": "t", "accuracy": 1.0, "low": 0.9, "high": 1.0, "n": 40,
         "floor": 0.9}
    ],
    "notes": ["a note"], "weights": "1" * 64, "prompts": None, "n": 2, "seeds": [0, 1],
    "judge": "scenes-judge@1", "detector": None, "settings": {"guidance_scale": 2.0},
    "seconds": 3.2, "environment": {"device": "cpu"},
}  # fmt: skip


def test_the_page_shows_every_number_with_its_n_and_escapes_foreign_text():
    page = probe_markdown(FOUND)
    assert "\\<b>evil\\</b>" in page
    assert "| binding.probe | all | 0.75 | [0.5, 0.9] | 8 | 2 |" in page
    assert "unknown: no \\| picture" in page
    assert "0.001 | worse |" in page
    assert "| j | t | 100.0% | [90.0%, 100.0%] | 40 | 90% |" in page


def test_every_probe_is_listed_and_described_with_what_it_needs(capsys):
    listed = json.loads(call(capsys, "list", "probes", "--json").out)
    assert set(listed) == set(STUDIES) >= set(PROBES)
    told = json.loads(call(capsys, "describe", "binding", "--json").out)["probes"]
    assert told["version"] == 1
    assert not told["in_suites"]
    assert any("image encoder" in need for need in told["needs"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["bindin"], 'no probe "bindin"; did you mean "binding"'),
        (["binding", "--model", "tinny"], "tinny"),
        (["binding", "--prompts", "scenes/quick"], "brings its own pictures"),
        (["binding", "--n", "0"], "--n is 0"),
        (["binding", "--n", "99999", "--samples", "9"], "at most 100000"),
        (["binding", "--n", "9"], "--n is 9; binding has 8 of its own"),
        (["composition", "--prompts", "scenes/quik"], 'no file "scenes/quik"'),
        (["composition", "--size", "100"], "--size is 100; allowed: 64, 256, 1024"),
        (["composition", "--set", "guidance=1"], "guidance"),
        (["composition", "--detector", "none"], "--detector none is no folder"),
        (["composition", "--format", "text"], "--format is of a file"),
        (["composition", "--n", "500"], "scenes/quick has 1 to 400 prompts"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(tmp_path, capsys, options, message):
    done = call(
        capsys, "probe", *options, "--out", str(tmp_path / "x"), "--store", str(tmp_path / "s")
    )
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err
    assert len(done.err.strip().splitlines()) <= 2
    assert not (tmp_path / "x").exists()


def test_a_second_call_gives_the_same_numbers(tmp_path, capsys):
    places = ("--out", str(tmp_path / "x"), "--store", str(tmp_path / "s"))
    command = ("probe", "prior-agreement", "--model", "tiny", "--n", "3", "--samples", "1")
    command = (*command, "--json", *places)
    first = json.loads(call(capsys, *command).out)
    again = json.loads(call(capsys, *command).out)
    assert first["estimates"] == again["estimates"]
    assert {e["metric"] for e in first["estimates"]} == {
        f"prior.{name}" for name in ("true", "decoded", "ceiling", "floor", "text")
    }
    assert (tmp_path / "x" / "probe.md").read_text().startswith("# prior-agreement: tiny")
    other = call(capsys, *(("2" if word == "3" else word) for word in command))
    assert other.code == 2
    assert "holds an answer of other n; choose another --out" in other.err
