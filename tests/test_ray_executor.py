"""A Ray cluster of two nodes makes what one process makes, whatever dies meanwhile."""

import json
import threading
import time
from pathlib import Path

import pytest
from cli_fixtures import call
from ray_fixtures import SIGNS, WAIT_S, doomed_workshop, ray_executor
from run_fixtures import make_site, make_work
from test_run_resume import outcome

from ablations import ray_executor as module
from ablations.executors import UnitError
from ablations.ray_crew import torch_threads
from ablations.ray_worker import Maker, Opening, facts_of
from ablations.runner import run_work
from dalle2eval.records import InputError

pytest.importorskip("ray", reason="the extra ray is not installed: uv sync --extra ray")
# A cluster takes half a minute to start on two busy cores, and Ray gives up after as long.
pytestmark = pytest.mark.slow


TINY = (
    "model.name=tiny",
    "model.decoder_steps=2",
    "model.prior_steps=2",
    "reference_images.n_per_prompt=4",
    "probes=[]",
)


@pytest.fixture(scope="module")
def signs(tmp_path_factory):
    return tmp_path_factory.mktemp("signs")


@pytest.fixture(scope="module")
def cluster(signs):
    """Start two nodes, each with room for one worker, for all tests of this file."""
    from ray.cluster_utils import Cluster

    from ablations.ray_cluster import SETTINGS

    with pytest.MonkeyPatch.context() as patch:
        for name, value in SETTINGS.items():
            patch.setenv(name, value)
        patch.setenv(SIGNS, str(signs))
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))  # the workers import the fakes
        import ray

        room = {"num_cpus": torch_threads()}
        two = Cluster(initialize_head=True, head_node_args=room)
        two.add_node(**room)
        ray.init(address=two.address, log_to_driver=False)
        yield two
        ray.shutdown()
        two.shutdown()


@pytest.fixture
def told(cluster, signs):
    """Return the folder of signs, empty before and after a test."""
    yield signs
    for path in signs.iterdir():
        path.unlink()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    base = tmp_path_factory.mktemp("whole")
    run_work(make_work(base / "s.yaml"), make_site(base / "run", base / "store"))
    return outcome(base / "run")


def ray_run(base, **options):
    site = make_site(base / "run", base / "store", executor=ray_executor(**options))
    return run_work(make_work(base / "s.yaml"), site)


def made(folder):
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return [event["address"] for event in events if event["event"] == "unit"]


def test_a_worker_killed_in_mid_unit_loses_nothing(told, tmp_path, whole):
    (told / "kill").touch()
    folder = ray_run(tmp_path)
    assert len(list(told.glob("killed-*"))) == 1, "nobody was killed, so nothing was shown"
    assert outcome(folder) == whole
    assert len(made(folder)) == len(set(made(folder)))


def test_a_unit_that_fails_always_ends_the_run_in_one_line(told, tmp_path):
    (told / "break").touch()
    with pytest.raises(UnitError) as caught:
        ray_run(tmp_path, workers=1)
    pattern = r"unit [0-9a-f]{12} \(decoder, \d+ samples\) failed 2 times, last on \S+: ValueError"
    assert caught.match(pattern + ": the decoder is broken$")


def test_wrong_input_found_by_a_worker_is_told_as_wrong_input(told, tmp_path):
    (told / "refuse").touch()
    with pytest.raises(InputError, match=r"^the picture is not there$"):
        ray_run(tmp_path, workers=1)


def test_a_unit_that_kills_every_worker_does_not_run_for_ever(told, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_LOSSES", 1)
    (told / "die").touch()
    with pytest.raises(UnitError, match=r"\(decoder, .* was lost with its worker 2 times"):
        ray_run(tmp_path, workers=1)


def test_a_machine_with_other_weights_or_other_code_is_refused():
    facts = facts_of({"fake": "9" * 64, "scenes": "1" * 64}) | {"code": "other"}
    opening = Opening(recipe=doomed_workshop, facts=facts, folder=".", parcels={})
    problem = Maker(opening).open().problem
    assert "weights fake 000000000000, here 999999999999" in problem
    assert "code " in problem
    assert "weights scenes" not in problem
    assert "torch" not in problem


def test_the_tiny_stack_draws_the_same_bytes_on_a_cluster(told, capsys, tmp_path):
    choices = [
        *(part for override in TINY for part in ("--set", override)),
        *("--arm", "prior", "--arm", "text-embedding", "--limit", "2", "--device", "cpu"),
    ]
    for name in ("local", "ray"):
        place = ["--out", tmp_path / name, "--store", tmp_path / f"{name}-store"]
        answer = call(capsys, "run", "prior", "--executor", name, *place, *choices, "--quiet")
        assert answer.code == 0, answer.err
    assert outcome(tmp_path / "ray") == outcome(tmp_path / "local")
    stores = [tmp_path / f"{name}-store" for name in ("local", "ray")]
    kept = [{p.name: p.read_bytes() for p in root.rglob("*") if p.is_file()} for root in stores]
    assert kept[0] == kept[1]


def test_a_node_removed_in_mid_run_loses_nothing(cluster, told, tmp_path, whole):
    """Last in this file: the cluster has one node afterwards."""
    doomed = next(iter(cluster.worker_nodes))
    hold = told / f"hold-{doomed.node_id}"
    hold.touch()

    def remove():
        give_up = time.monotonic() + WAIT_S
        while not (told / "held").exists() and time.monotonic() < give_up:
            time.sleep(0.05)
        cluster.remove_node(doomed, allow_graceful=False)

    remover = threading.Thread(target=remove)
    remover.start()
    folder = ray_run(tmp_path)
    remover.join()
    assert (told / "held").exists(), "no unit was on the node, so nothing was shown"
    assert outcome(folder) == whole
    assert len(made(folder)) == len(set(made(folder)))
