"""Who makes the units is chosen before anything else is done, and what is wrong is told at once."""

import socket

import pytest
from cli_fixtures import call

from ablations import ray_cluster
from ablations.frontier import Frontier
from ablations.units import Unit
from dalle2eval.records import InputError


def unit(name, *inputs):
    given = {"inputs": {"previous": inputs}} if inputs else {}
    known = {"stage": name, "kind": "json", "samples": 1, "seconds": 1.0, "identity": {}}
    return Unit(**known, **given, perform=print)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--executor", "rya"], 'no executor "rya"; did you mean "ray"? (allowed: local, ray)'),
        (["--workers", "3"], "--workers 3 is of --executor ray"),
        (["--ray-address", "auto"], "--ray-address is of --executor ray"),
        (["--executor", "ray", "--workers", "0"], "--workers 0: at least 1 is needed"),
    ],
)
def test_a_wrong_engine_is_told_before_any_work(capsys, tmp_path, options, told):
    answer = call(capsys, "run", "quick", "--out", tmp_path / "run", *options)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert told in answer.err
    assert not (tmp_path / "run").exists()


def test_without_the_extra_one_line_says_how_to_install_it(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(ray_cluster, "find_spec", lambda _name: None)
    answer = call(capsys, "run", "quick", "--executor", "ray", "--out", tmp_path / "run")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "pip install 'dalle2eval[ray]'" in answer.err


def test_a_suite_that_trains_its_arms_is_refused_before_a_cluster_starts(capsys, tmp_path):
    """A worker has no room for trainings: the run failed at its first unit."""
    pytest.importorskip("ray")
    answer = call(
        capsys,
        "run",
        "schedule",
        "--scale",
        "smoke",
        "--executor",
        "ray",
        "--out",
        tmp_path / "run",
    )
    assert answer.code == 2
    assert "trains its arms, which --executor ray cannot yet" in answer.err.splitlines()[-1]


def test_an_address_where_nobody_listens_is_told_in_seconds():
    """Ray itself tries for minutes."""
    pytest.importorskip("ray", reason="the extra ray is not installed: uv sync --extra ray")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with (
            pytest.raises(InputError, match=f"no Ray cluster at --ray-address {address}: "),
            ray_cluster.connected(address, 1),
        ):
            pass


def test_an_address_without_a_port_is_told_with_what_is_allowed():
    pytest.importorskip("ray", reason="the extra ray is not installed: uv sync --extra ray")
    with (
        pytest.raises(InputError, match=r"expected HOST:PORT, ray://HOST:PORT or auto"),
        ray_cluster.connected("localhost", 1),
    ):
        pass


def test_a_unit_is_ready_only_when_all_its_inputs_are_made():
    left, right = unit("left"), unit("right")
    both = unit("both", left, right)
    frontier = Frontier([left, right, both])
    assert [frontier.take(), frontier.take(), frontier.take()] == [left, right, None]
    frontier.finish(left)
    assert frontier.take() is None
    frontier.finish(right)
    assert frontier.take() is both
    assert frontier.left == 1


def test_a_lost_unit_is_the_next_one_and_keeps_its_readers_waiting():
    first, other = unit("first"), unit("other")
    reader = unit("reader", first)
    frontier = Frontier([first, reader, other])
    frontier.take(), frontier.take()
    frontier.give_back(first)
    assert frontier.take() is first
    assert frontier.take() is None


def test_an_artefact_is_let_go_only_after_its_last_reader():
    stored, made = unit("stored"), unit("made")
    one, two = unit("one", stored, made), unit("two", stored, made)
    frontier = Frontier([made, one, two])  # what was stored before is no work any more
    assert frontier.finish(made) == []
    assert frontier.finish(one) == [one.address]
    assert sorted(frontier.finish(two)) == sorted([two.address, stored.address, made.address])
