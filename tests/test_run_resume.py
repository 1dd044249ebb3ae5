"""Killed at any moment and called again, a run ends in the same bytes; half is never whole."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fake_model import FakeModel
from run_fixtures import make_site, make_work

from ablations.events import alone_with
from ablations.executors import LocalExecutor
from ablations.runner import run_work
from dalle2eval.records import InputError
from dalle2eval.store import Store

KILLED_RUN = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from run_fixtures import make_site, make_work
from ablations.executors import LocalExecutor
from ablations.runner import run_work

class Doomed(LocalExecutor):
    def run(self, units, store, workshop):
        for number, done in enumerate(super().run(units, store, workshop)):
            if number == {after}:
                os.kill(os.getpid(), signal.SIGKILL)
            yield done

folder = Path({folder!r})
site = make_site(folder / "run", folder / "store", executor=Doomed())
run_work(make_work(folder / "s.yaml"), site)
"""


def outcome(folder):
    """Return the bytes of everything that must not depend on how a run went."""
    kept = [*sorted(folder.glob("samples/**/*.png")), folder / "plan.yaml"]
    kept += [folder / f"{name}.parquet" for name in ("scores", "estimates", "comparisons")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in kept}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    base = tmp_path_factory.mktemp("whole")
    run_work(make_work(base / "s.yaml"), make_site(base / "run", base / "store"))
    return outcome(base / "run")


@pytest.mark.parametrize("after", [0, 30, 53])
def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path, whole, after):
    script = KILLED_RUN.format(tests=str(Path(__file__).parent), folder=str(tmp_path), after=after)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert not (tmp_path / "run" / "summary.json").exists()
    model = FakeModel()
    run_work(
        make_work(tmp_path / "s.yaml"), make_site(tmp_path / "run", tmp_path / "store", model=model)
    )
    assert outcome(tmp_path / "run") == whole
    assert model.calls < 24 or after == 0


def test_a_finished_run_is_not_worked_on_again(tmp_path):
    work, model = make_work(tmp_path / "s.yaml"), FakeModel()
    site = make_site(tmp_path / "run", tmp_path / "store", model=model)
    run_work(work, site)
    calls, before = model.calls, outcome(tmp_path / "run")
    summary = (tmp_path / "run" / "summary.json").read_bytes()
    run_work(make_work(tmp_path / "s.yaml"), site)
    assert model.calls == calls
    assert outcome(tmp_path / "run") == before
    assert (tmp_path / "run" / "summary.json").read_bytes() == summary


def test_another_folder_with_the_same_store_makes_nothing_again(tmp_path, whole):
    model = FakeModel()
    for name in ("one", "two"):
        site = make_site(tmp_path / name, tmp_path / "store", model=model)
        run_work(make_work(tmp_path / "s.yaml"), site)
        assert outcome(tmp_path / name) == whole
    assert model.calls == 24
    cost = json.loads((tmp_path / "two" / "summary.json").read_text())["cost"]
    assert all(row["cached"] == row["units"] for row in cost["stages"].values())


def test_a_damaged_artefact_and_a_damaged_picture_are_made_again(tmp_path, whole):
    work = make_work(tmp_path / "s.yaml")
    site = make_site(tmp_path / "run", tmp_path / "store")
    run_work(work, site)
    victim = work.arms[0].drawn[0].images[64]
    path = Store(tmp_path / "store").path(victim.address, victim.kind)
    path.write_bytes(path.read_bytes()[:-40])
    picture = next((tmp_path / "run" / "samples").rglob("*.png"))
    picture.write_bytes(b"not a picture")
    run_work(work, site)
    assert Store(tmp_path / "store").has(victim.address, victim.kind)
    assert outcome(tmp_path / "run") == whole


def test_a_cut_diary_is_read_as_far_as_it_is_whole(tmp_path, whole):
    work = make_work(tmp_path / "s.yaml")
    site = make_site(tmp_path / "run", tmp_path / "store")
    run_work(work, site)
    diary = tmp_path / "run" / "events.jsonl"
    diary.write_bytes(diary.read_bytes()[:-25])
    run_work(work, site)
    assert outcome(tmp_path / "run") == whole
    events = [json.loads(line) for line in diary.read_text().splitlines() if line.endswith("}")]
    assert events[-1]["event"] == "finish"


def test_the_folder_of_another_plan_is_refused_with_what_differs(tmp_path):
    run_work(make_work(tmp_path / "s.yaml"), make_site(tmp_path / "run", tmp_path / "store"))
    before = outcome(tmp_path / "run")
    other = make_work(tmp_path / "s.yaml", "model.decoder_steps=3")
    with pytest.raises(InputError, match=r"another plan \(.*decoder_steps: 20 there, 3 here"):
        run_work(other, make_site(tmp_path / "run", tmp_path / "store"))
    assert outcome(tmp_path / "run") == before


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("precious")
    with pytest.raises(InputError, match="is not empty and holds no run"):
        run_work(make_work(tmp_path / "s.yaml"), make_site(tmp_path / "thesis", tmp_path / "store"))
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter.txt"]


def test_a_run_killed_while_writing_its_first_file_goes_on(tmp_path, whole):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".writing-x7").write_bytes(b"half a pl")
    run_work(make_work(tmp_path / "s.yaml"), make_site(tmp_path / "run", tmp_path / "store"))
    assert outcome(tmp_path / "run") == whole


def test_two_runs_in_one_folder_do_not_mix(tmp_path, whole):
    class Intruded(LocalExecutor):
        def run(self, units, store, workshop):
            with pytest.raises(InputError, match="another run is at work in"):
                run_work(
                    make_work(tmp_path / "s.yaml"), make_site(tmp_path / "run", tmp_path / "b")
                )
            yield from super().run(units, store, workshop)

    site = make_site(tmp_path / "run", tmp_path / "store", executor=Intruded())
    run_work(make_work(tmp_path / "s.yaml"), site)
    assert outcome(tmp_path / "run") == whole


def test_a_run_that_finds_the_folder_held_writes_no_plan_into_it(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    with (
        alone_with(run / "events.jsonl"),
        pytest.raises(InputError, match="another run is at work in"),
    ):
        run_work(make_work(tmp_path / "s.yaml"), make_site(run, tmp_path / "store"))
    assert [(path.name, path.stat().st_size) for path in run.iterdir()] == [("events.jsonl", 0)]


def test_a_run_killed_between_taking_the_folder_and_its_plan_goes_on(tmp_path, whole):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "events.jsonl").touch()
    run_work(make_work(tmp_path / "s.yaml"), make_site(tmp_path / "run", tmp_path / "store"))
    assert outcome(tmp_path / "run") == whole


def test_plan_and_environment_are_there_before_the_first_unit(tmp_path):
    class Stopped(LocalExecutor):
        def run(self, units, store, workshop):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_work(
            make_work(tmp_path / "s.yaml"),
            make_site(tmp_path / "run", tmp_path / "store", executor=Stopped()),
        )
    assert {p.name for p in (tmp_path / "run").iterdir()} == {
        "plan.yaml", "environment.json", "events.jsonl",
    }  # fmt: skip


def test_an_unwritable_store_is_found_before_any_work(tmp_path):
    (tmp_path / "file").write_text("")
    model = FakeModel()
    with pytest.raises(InputError, match="--store"):
        run_work(
            make_work(tmp_path / "s.yaml"),
            make_site(tmp_path / "run", tmp_path / "file" / "store", model=model),
        )
    assert model.calls == 0
    assert not (tmp_path / "run").exists()
