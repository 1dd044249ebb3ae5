"""`gate --against REV`: each side runs its own code, and nothing is left behind."""

import os
import shutil
import subprocess

import pytest
from cli_fixtures import call
from report_fixtures import write_run
from report_plans import a_plan
from test_gate_calibration import contribute

from dalle2eval.gate.against import Head, against
from dalle2eval.gate.decision import PASS
from dalle2eval.records import InputError


def git(folder, *arguments):
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    plan = a_plan()
    small = a_plan(arms=plan.arms[:1], prompts=plan.prompts[1:4], seeds=(0, 1))
    return contribute(write_run(tmp_path_factory.mktemp("finished") / "run", small))


@pytest.fixture
def repository(tmp_path):
    """Two commits and an uncommitted change of one file."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q")
    for text in ("old", "new"):
        (folder / "model.py").write_text(text)
        git(folder, "add", "model.py")
        git(folder, "commit", "-q", "-m", text)
    (folder / "model.py").write_text("working tree")
    return folder


def stub(finished, jobs, status=0):
    def runner(job):
        place = job.arguments[job.arguments.index("--out") + 1]
        jobs.append((job, (job.cwd / "model.py").read_text("latin-1")))
        shutil.copytree(finished, place, dirs_exist_ok=True)
        return status

    return runner


def test_each_side_runs_its_own_code_in_its_own_store(repository, finished, tmp_path):
    jobs, head = [], Head(suite="gate", options=("--set", "prompts.n=3"))
    out = tmp_path / "out"
    decision = against("HEAD~1", head, out=out, repository=repository, runner=stub(finished, jobs))
    assert decision.exit_code() == PASS
    assert [text for _, text in jobs] == ["old", "working tree"]
    for job, _ in jobs:
        assert job.arguments[:2] == ("run", "gate")
        assert job.arguments[-2:] == ("--set", "prompts.n=3")
        assert job.environment["PYTHONPATH"].split(os.pathsep)[0] == str(job.cwd)
    stores = {job.arguments[job.arguments.index("--store") + 1] for job, _ in jobs}
    assert len(stores) == 2
    assert "HEAD~1 at " in decision.accepted["reason"]


def test_the_worktree_is_gone_afterwards_also_when_a_side_fails(repository, finished, tmp_path):
    jobs = []
    with pytest.raises(InputError, match=r"base-.*failed with exit code 1"):
        against(
            "HEAD",
            Head(suite="gate"),
            out=tmp_path / "out",
            repository=repository,
            runner=stub(finished, jobs, status=1),
        )
    assert not jobs[0][0].cwd.exists()
    assert len(git(repository, "worktree", "list").splitlines()) == 1
    assert (repository / "model.py").read_text() == "working tree"


def test_a_changed_working_tree_is_never_answered_from_an_older_run(repository, finished, tmp_path):
    def places():
        jobs = []
        options = {"out": tmp_path / "out", "repository": repository}
        against("HEAD", Head(suite="gate"), runner=stub(finished, jobs), **options)
        return [job.arguments[job.arguments.index("--out") + 1] for job, _ in jobs]

    first, again = places(), places()
    (repository / "model.py").write_text("edited")
    edited = places()
    (repository / "helper.py").write_text("not yet added")
    added = places()
    assert first == again
    assert len({place[0] for place in (first, edited, added)}) == 1
    assert len({place[1] for place in (first, edited, added)}) == 3


@pytest.mark.parametrize("revision", ["nowhere", "--help", ""])
def test_a_revision_that_is_none_is_named_before_any_work(repository, tmp_path, revision):
    with pytest.raises(InputError, match="no such commit"):
        against(
            revision,
            Head(suite="gate"),
            out=tmp_path / "out",
            repository=repository,
            runner=lambda job: pytest.fail("ran"),
        )
    assert not (tmp_path / "out").exists()


def test_the_option_is_a_command_of_its_own(repository, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(repository)
    answer = call(capsys, "gate", "--against", "nowhere", "--out", tmp_path / "out")
    assert answer.code == 2
    assert "--against nowhere: no such commit" in answer.err


def test_outside_of_git_there_is_nothing_to_run_against(tmp_path):
    with pytest.raises(InputError, match="needs a git repository"):
        against("HEAD", Head(suite="gate"), out=tmp_path / "out", repository=tmp_path)


def test_names_and_contents_that_are_no_utf8_are_code_too(repository, finished, tmp_path):
    """The state was read after the base's run, and died on a Latin-1 file."""
    (repository / "model.py").write_bytes(b"caf\xe9")
    (repository / os.fsdecode(b"caf\xe9.txt")).write_bytes(b"\xe9")
    jobs = []
    heads = []
    for content in (b"\xe9", b"\xe8"):
        (repository / os.fsdecode(b"caf\xe9.txt")).write_bytes(content)
        against(
            "HEAD", Head(suite="gate"), out=tmp_path / "out", repository=repository,
            runner=stub(finished, jobs),
        )  # fmt: skip
        heads.append(jobs[-1][0].arguments[jobs[-1][0].arguments.index("--out") + 1])
    assert heads[0] != heads[1]
