"""The gate's files are anyone's: what was edited, cut or planted in them is told, not obeyed."""

import json
import shutil
from xml.etree import ElementTree as ET

import pytest
from cli_fixtures import call
from fake_model import FakeModel
from run_fixtures import make_site, make_work

from ablations.runner import run_work
from dalle2eval.gate.decision import NOT_COMPARABLE, PASS, refusal
from dalle2eval.gate.front import accept, check
from dalle2eval.gate.outputs import remarks, to_junit, to_markdown
from dalle2eval.records import InputError, NotComparable


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gate")
    work = make_work(folder / "s.yaml", "prompts.n=20", arms=("prior",))
    run_work(work, make_site(folder / "base", folder / "store", model=FakeModel()))
    accept(folder / "base", folder / "base.json", reason="the first")
    return folder


@pytest.fixture
def copied(runs, tmp_path):
    shutil.copytree(runs / "base", tmp_path / "run")
    return tmp_path / "run"


def edit(path, change):
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    return path


def baseline_with(runs, folder, change):
    return edit(shutil.copy(runs / "base.json", folder / "b.json"), change)


@pytest.mark.parametrize("commit", ["--output={}/planted", "-h", "HEAD", 7, ["a"], "a b"])
def test_a_commit_that_is_none_is_not_handed_to_git(copied, tmp_path, commit):
    """`git show --output=FILE` writes a file: a run folder could overwrite any."""
    commit = commit.format(tmp_path) if isinstance(commit, str) else commit
    edit(copied / "environment.json", lambda d: d.update(git={"commit": commit, "dirty": True}))
    accept(copied, tmp_path / "b.json", reason="x")
    accepted = json.loads((tmp_path / "b.json").read_text())["accepted"]
    assert (accepted["commit"], accepted["date"], accepted["dirty"]) == (None, None, None)
    assert not (tmp_path / "planted").exists()


def arm(data):
    return data["arms"]["prior"]


EDITS = {
    "no arm": (lambda d: d.update(arms={}), "holds no arm"),
    "no metric": (lambda d: arm(d).update(metrics={}), "no metric"),
    "misspelt": (
        lambda d: arm(d)["metrics"].update(clip_scor=arm(d)["metrics"].pop("clip_score")),
        'did you mean "clip_score"',
    ),
    "value gone": (
        lambda d: arm(d)["metrics"]["clip_score"].update(value=None),
        "clip_score has images",
    ),
    "value moved": (
        lambda d: arm(d)["metrics"]["clip_score"].update(value=10.0),
        "its images say otherwise",
    ),
    "value NaN": (
        lambda d: arm(d)["metrics"]["clip_score"].update(value=float("nan")),
        "clip_score is nan; allowed: a number",
    ),
    "value a text": (
        lambda d: arm(d)["metrics"]["clip_score"].update(value="0.5"),
        "clip_score is '0.5'; allowed: a number",
    ),
    "images gone": (
        lambda d: [row.__setitem__(slice(2, None), [None] * (len(row) - 2))
                   for row in arm(d)["images"][:5]],
        "its images say otherwise",
    ),
    "an image twice": (lambda d: arm(d)["images"].append(arm(d)["images"][0]), "an image twice"),
    "floor below zero": (lambda d: d.update(floors={"clip_score": [-1, 0]}), "0 or more"),
    "floor NaN": (lambda d: d.update(floors={"clip_score": [float("nan"), 0]}), "0 or more"),
    "floor misspelt": (lambda d: d.update(floors={"clip_scor": [1, 0]}), "did you mean"),
    "conditions a list": (lambda d: d.update(conditions=[]), "conditions is no object"),
    "packages gone": (lambda d: d["conditions"].update(packages=None), "packages is no object"),
    "accepted a text": (lambda d: d.update(accepted="me"), "accepted is no object"),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
def test_an_edited_baseline_is_refused_and_named(runs, tmp_path, name):
    """A gutted one passed: with nothing left to compare, nothing was worse."""
    change, told = EDITS[name]
    baseline = baseline_with(runs, tmp_path, change)
    with pytest.raises(InputError, match=told) as caught:
        check(runs / "base", baseline)
    assert str(baseline) in str(caught.value)


def test_a_hundred_thousand_brackets_are_no_baseline(runs, tmp_path):
    (tmp_path / "b.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="not JSON"):
        check(runs / "base", tmp_path / "b.json")


def test_other_reference_images_are_another_experiment(runs, tmp_path):
    """The same pictures had a distance of 9.1 from one set and of 10.7 from another."""
    baseline = baseline_with(runs, tmp_path, lambda d: d["conditions"].update(reference=[2, None]))
    with pytest.raises(NotComparable, match="reference images"):
        check(runs / "base", baseline)


def test_pictures_that_are_not_listed_are_missing(runs, copied, tmp_path):
    """The tripwires looked at what the gallery listed; with an empty one they saw no fault."""

    def drop_some(data):
        small = [picture for picture in data["gallery"] if picture["size"] == 64]
        data["gallery"] = [p for p in data["gallery"] if p not in small[:5]]

    edit(copied / "summary.json", drop_some)
    decision = check(copied, runs / "base.json")
    assert decision.exit_code() == NOT_COMPARABLE
    assert {wire.fault for wire in decision.tripped} == {"missing"}
    edit(copied / "summary.json", lambda d: d.update(gallery=[]))
    with pytest.raises(InputError, match="broken pictures, first missing"):
        accept(copied, tmp_path / "b.json", reason="x")


def test_what_is_not_comparable_is_written_for_ci_too(runs, tmp_path, capsys, monkeypatch):
    """Exit 12 wrote no file: the comment's step failed, or posted the last build's "pass"."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "step.md"))
    baseline = baseline_with(runs, tmp_path, lambda d: d["conditions"].update(suite="another"))
    answer = call(
        capsys, "gate", str(runs / "base"), "--baseline", str(baseline), "--json",
        "--markdown", str(tmp_path / "m.md"), "--junit", str(tmp_path / "j.xml"),
    )  # fmt: skip
    assert answer.code == NOT_COMPARABLE
    assert json.loads(answer.out)["refused"].startswith("suite: not the baseline's")
    for name in ("m.md", "step.md"):
        assert "## Sample quality: not comparable" in (tmp_path / name).read_text()
    suite = ET.parse(tmp_path / "j.xml").getroot()
    assert suite.get("failures") == "1"


def test_a_reason_cannot_act_on_a_terminal_a_log_or_xml(runs, tmp_path):
    hostile = "x\n::error::planted\x1b[31m \uffff \ud800 $a$ #12 https://evil.example"
    baseline = baseline_with(runs, tmp_path, lambda d: d["accepted"].update(reason=hostile))
    decision = check(runs / "base", baseline)
    assert decision.exit_code() == PASS
    ET.fromstring(to_junit(refusal(hostile), strict=False))
    [line] = remarks(refusal(hostile))
    assert line.isprintable()
    comment = to_markdown(decision, strict=False)
    assert "https://" not in comment
    assert r"\#12" in comment
    assert "\n::error" not in comment


@pytest.mark.parametrize("before", [["--strict"], ["--suite", "gate", "--strict"]])
def test_against_may_stand_behind_other_options(capsys, before):
    answer = call(capsys, "gate", *before, "--against", "no-such-commit")
    assert answer.code == 2
    assert "no-such-commit: no such commit" in answer.err
