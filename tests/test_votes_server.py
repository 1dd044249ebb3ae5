"""The voting server: who gets in, what it tells, and no vote lost or doubled, even by SIGKILL."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from itertools import count

import pytest
from vote_fixtures import a_study

from dalle2eval.votes.guarding import Guard, RateLimit, Refused
from dalle2eval.votes.sequence import CHOICES, sequence
from dalle2eval.votes.server import VoteServer
from dalle2eval.votes.store import VoteStore

PATIENCE_S = 120


class Voter:
    """A voter who talks to a server as the page does: again and again until it answers."""

    def __init__(self, port: int, token: str, name: str) -> None:
        self.port, self.token, self.name = port, token, name
        self.key = (name * 40)[:40]
        self.acknowledged: dict[str, str] = {}

    def ask(self, path, body, **headers):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "X-Study-Token": self.token, **headers},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return json.loads(answer.read())

    def ask_until(self, path, body):
        started = time.monotonic()
        while time.monotonic() - started < PATIENCE_S:
            try:
                return self.ask(path, body)
            except urllib.error.HTTPError as error:
                if error.code != 429 and error.code < 500:
                    raise
            except OSError:
                pass
            time.sleep(0.05)
        raise TimeoutError(path)

    def join(self):
        return self.ask_until("/join", {"name": self.name, "key": self.key})

    def vote(self, pair, choice):
        vote = {"key": self.key, "pair": pair, "choice": choice, "seconds": 1.0}
        self.acknowledged[pair] = self.ask_until("/vote", vote)["choice"]

    def vote_on_everything(self):
        """Vote, each time twice over, as a page whose first answer was lost."""
        choices = count(len(self.name))
        for showing in self.join()["showings"]:
            choice = CHOICES[next(choices) % 4]
            self.vote(showing["pair"], choice)
            self.vote(showing["pair"], choice)


@pytest.fixture
def server(tmp_path):
    study = a_study(tmp_path)
    with VoteServer(study) as running:
        running.votes = running.loads = RateLimit(per_second=1e6, burst=1e6)
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def a_voter(server, name="anna"):
    return Voter(server.server_address[1], server.guard.token, name)


def refusal(call):
    with pytest.raises(urllib.error.HTTPError) as refused:
        call()
    return refused.value.code, json.loads(refused.value.read())["error"]


def get(server, path, **headers):
    address = f"http://127.0.0.1:{server.server_address[1]}{path}"
    request = urllib.request.Request(address, headers=headers)
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return answer.read(), answer.headers


def test_three_voters_at_once_lose_nothing_and_count_once(server):
    voters = [a_voter(server, name) for name in ("anna", "benedict", "chloe")]
    threads = [threading.Thread(target=voter.vote_on_everything) for voter in voters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = server.store.votes()
    assert len(kept) == len({(vote.voter, vote.pair) for vote in kept})
    for voter in voters:
        theirs = {vote.pair: vote.choice for vote in kept if vote.voter == voter.name}
        assert theirs == voter.acknowledged
        assert theirs.keys() == {pair.id for pair in server.study.pairs}


def test_choice_is_kept_as_the_slot_that_lay_on_that_side(server):
    voter = a_voter(server)
    shown = voter.join()["showings"]
    for i, showing in enumerate(sequence(server.study, "anna")):
        assert shown[i]["pair"] == showing.pair.id
        assert f"/{showing.left}.webp" in shown[i]["left"]
        voter.vote(showing.pair.id, "left")
        assert voter.acknowledged[showing.pair.id] == showing.left


def test_voter_comes_back_to_what_is_not_answered(server):
    voter = a_voter(server)
    first = voter.join()["showings"][0]["pair"]
    voter.vote(first, "tie")
    assert voter.join()["answered"] == [first]
    stranger = a_voter(server)
    stranger.key = "another key of this length"
    assert refusal(lambda: stranger.ask("/join", {"name": "anna", "key": stranger.key}))[0] == 400


def test_page_and_pictures_tell_no_arm(server):
    page, headers = get(server, "/")
    assert b"secret-" not in page
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    shown = json.dumps(a_voter(server).join())
    assert "secret-" not in shown
    picture, headers = get(server, json.loads(shown)["showings"][0]["left"])
    assert picture[8:12] == b"WEBP"
    assert headers["Content-Type"] == "image/webp"


def test_nothing_but_the_studys_own_pictures_is_served(server):
    token = server.guard.token
    pair = server.study.pairs[0].id
    for path in (
        "/study.json", "/votes.sqlite", "/../study.json", "/picture/../study.json",
        f"/picture/{'0' * 16}/first.webp", f"/picture/{pair}/third.webp",
        f"/picture/{pair}/first.webp/../../study.json", "/picture/%2e%2e/first.webp",
    ):  # fmt: skip
        assert refusal(lambda path=path: get(server, f"{path}?token={token}"))[0] == 404
    assert refusal(lambda: get(server, f"/picture/{pair}/first.webp"))[0] == 403


def test_another_sites_page_cannot_vote(server):
    voter = a_voter(server)
    body = {"name": "eve", "key": "e" * 40}
    assert refusal(lambda: voter.ask("/join", body, Origin="https://evil.example"))[0] == 403
    assert refusal(lambda: voter.ask("/join", body, **{"Sec-Fetch-Site": "cross-site"}))[0] == 403
    assert refusal(lambda: voter.ask("/join", body, **{"X-Study-Token": "guess"}))[0] == 403
    assert refusal(lambda: voter.ask("/join", body, **{"Content-Type": "text/plain"}))[0] == 415
    assert refusal(lambda: get(server, "/", Host="evil.example"))[0] == 403
    own = f"http://127.0.0.1:{server.server_address[1]}"
    assert voter.ask("/join", body, Origin=own)["name"] == "eve"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ([], 400),
        ({"key": 3, "pair": "x", "choice": "left"}, 400),
        ({"key": "nobody's key, long enough", "pair": "x", "choice": "left"}, 403),
        ({"key": "x" * 9000}, 413),
    ],
)
def test_strange_votes_are_refused_in_one_line(server, body, status):
    code, reason = refusal(lambda: a_voter(server).ask("/vote", body))
    assert (code, "\n" in reason) == (status, False)


def test_a_length_of_5000_digits_is_too_long_and_no_fault(server):
    """Python refuses to read such a number, which was answered with 500."""
    ask = a_voter(server).ask
    code, _ = refusal(lambda: ask("/vote", {}, **{"Content-Length": "9" * 5000}))
    assert code == 413


def test_pair_of_another_study_and_unknown_choice_are_refused(server):
    voter = a_voter(server)
    pair = voter.join()["showings"][0]["pair"]
    vote = {"key": voter.key, "pair": "0" * 16, "choice": "left"}
    assert refusal(lambda: voter.ask("/vote", vote))[0] == 400
    vote = {"key": voter.key, "pair": pair, "choice": "first"}
    assert refusal(lambda: voter.ask("/vote", vote))[0] == 400
    assert server.store.votes() == ()


def test_votes_faster_than_people_are_slowed_down():
    now = [0.0]
    limit = RateLimit(per_second=2.0, burst=3.0, clock=lambda: now[0])
    for _ in range(3):
        limit.check("anna")
    with pytest.raises(Refused):
        limit.check("anna")
    limit.check("ben")
    now[0] = 0.6
    limit.check("anna")
    with pytest.raises(Refused):
        limit.check("anna")


def test_link_carries_a_token_only_where_others_can_come_in(tmp_path):
    with VoteServer(a_study(tmp_path)) as near:
        assert "token" not in near.link
        with VoteServer(near.study, host="0.0.0.0") as far:
            assert f"token={near.guard.token}" in far.link
            thread = threading.Thread(target=far.serve_forever, args=(0.02,))
            thread.start()
            try:
                assert refusal(lambda: get(far, "/"))[0] == 403
                assert b"<main>" in get(far, f"/?token={far.guard.token}")[0]
            finally:
                far.shutdown()
                thread.join()


@pytest.mark.parametrize(
    ("host", "name", "good"),
    [
        ("127.0.0.1", "localhost:80", True),
        ("127.0.0.1", "10.0.0.7:80", False),
        ("127.0.0.1", "", False),
        ("0.0.0.0", "10.0.0.7:80", True),
        ("0.0.0.0", "[fe80::1]:80", True),
        ("0.0.0.0", "evil.example:80", False),
    ],
)
def test_only_names_of_this_machine_are_answered(host, name, good):
    guard = Guard(host=host, token="t")
    if good:
        guard.check_host(name)
    else:
        with pytest.raises(Refused):
            guard.check_host(name)


SERVE = """
import sys
from pathlib import Path
from dalle2eval.votes.guarding import RateLimit
from dalle2eval.votes.server import serve
from dalle2eval.votes.study import read_study
def ready(server):
    server.votes = server.loads = server.joins = RateLimit(per_second=1e6, burst=1e6)
    print(server.server_address[1], flush=True)
serve(read_study(Path(sys.argv[1])), port=int(sys.argv[2]), ready=ready)
"""


def start(study, port=0):
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(study.folder), str(port)], stdout=subprocess.PIPE
    )
    return process, int(process.stdout.readline())


def test_server_killed_in_mid_vote_loses_no_acknowledged_vote_and_doubles_none(tmp_path):
    study = a_study(tmp_path)
    process, port = start(study)
    store = VoteStore(study.database, study.id)
    voters = [Voter(port, store.token(), name) for name in ("anna", "ben", "chloe")]
    threads = [threading.Thread(target=voter.vote_on_everything) for voter in voters]
    for thread in threads:
        thread.start()
    try:
        for kill_at in (6, 20):
            while len(store.votes()) < kill_at:
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
            process.wait()
            process, _ = start(study, port)
        for thread in threads:
            thread.join(PATIENCE_S)
    finally:
        process.kill()
        process.wait()
    kept = store.votes()
    assert len(kept) == 3 * len(study.pairs)
    assert len({(vote.voter, vote.pair) for vote in kept}) == len(kept)
    for voter in voters:
        theirs = {vote.pair: vote.choice for vote in kept if vote.voter == voter.name}
        assert theirs == voter.acknowledged
