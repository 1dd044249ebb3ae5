"""An image API that is slow, rude, broken or hostile costs neither the run nor the key."""

import base64
import email.utils
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from image_files import encoded, picture

from dalle2eval.models import WrongAnswer, find_faults, http_client
from dalle2eval.models.faults import REFUSED
from dalle2eval.models.http_api import KEY, KEY_HOST, ImageApi
from dalle2eval.models.one_stage import OneStage
from dalle2eval.records import InputError

SIDE = 64


def image(number=0, side=SIDE):
    return base64.b64encode(encoded(picture(number, side, side))).decode()


def answered(*images):
    return 200, {"data": [{"b64_json": one} for one in images]}, {}


class Api:
    """A server on this machine that answers with a script and keeps what it was asked."""

    def __init__(self):
        self.script, self.asked, self.headers = [], [], []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                api.asked.append((self.path, json.loads(body)))
                api.headers.append(dict(self.headers))
                planned = api.script.pop(0) if api.script else answered(image(len(api.asked)))
                if callable(planned):
                    planned = planned(self)
                if planned is None:
                    return
                status, content, headers = planned
                raw = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(raw))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(raw)

            def do_GET(self):
                api.asked.append((self.path, None))
                self.send_error(404)

            def log_message(self, *_args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def api(monkeypatch):
    monkeypatch.delenv(KEY, raising=False)
    monkeypatch.delenv(KEY_HOST, raising=False)
    server = Api()
    yield server
    server.server.shutdown()
    server.server.server_close()


def draw(api, n=1, *, pauses=None, **settings):
    pauses = [] if pauses is None else pauses
    model = OneStage(ImageApi(api.url, sleep=pauses.append))
    chosen = model.resolve_settings({"side": SIDE, "attempts": 3, **settings})
    (stage,) = model.plan_stages(chosen, 64)
    texts, keys = [f"thing {i}" for i in range(n)], [(f"p{i}", 0) for i in range(n)]
    model.check_samples(stage, texts, keys)
    return model.run_stage(stage, texts, keys, None)


def error(status, text="", code=None, **headers):
    return status, {"error": {"message": text, "code": code}}, headers


def test_each_prompt_is_asked_for_and_its_picture_comes_back(api):
    images = draw(api, 2, served_model="m-1", quality="high")
    assert np.array_equal(images, [picture(1, SIDE, SIDE), picture(2, SIDE, SIDE)])
    assert [path for path, _ in api.asked] == ["/v1/images/generations"] * 2
    assert api.asked[0][1] == {
        "prompt": "thing 0", "n": 1, "size": "64x64", "model": "m-1", "quality": "high",
        "response_format": "b64_json",
    }  # fmt: skip
    assert "Authorization" not in api.headers[0]


def test_seeds_are_sent_only_where_the_service_takes_them(api):
    draw(api, 2, send_seed=True, response_format="unsaid")
    seeds = [body["seed"] for _, body in api.asked]
    assert len(set(seeds)) == 2
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert "response_format" not in api.asked[0][1]


def test_passing_errors_are_tried_again_with_growing_pauses(api):
    api.script = [error(500), error(503), answered(image(1))]
    pauses = []
    assert draw(api, pauses=pauses).shape == (1, 64, 64, 3)
    assert pauses == [1.0, 2.0]


def test_a_server_says_how_long_to_wait(api):
    date = email.utils.formatdate(time.time() + 30, usegmt=True)
    api.script = [error(429, **{"Retry-After": "7"}), error(429, **{"Retry-After": date})]
    pauses = []
    draw(api, pauses=pauses)
    assert pauses[0] == 7.0
    assert 20 < pauses[1] <= 30


def test_an_hour_is_not_waited_for(api):
    api.script = [error(429, "slow down", **{"Retry-After": "3600"})]
    with pytest.raises(InputError, match="asks to wait 3600 s, call again then"):
        draw(api)
    assert len(api.asked) == 1


def test_a_server_that_never_recovers_is_given_up(api):
    api.script = [error(500, "no\x1b[31m luck\n")] * 3
    with pytest.raises(InputError) as caught:
        draw(api)
    assert "status 500: no?[31m luck (tried 3 times)" in str(caught.value)


def test_a_silent_server_and_a_closed_port_are_told(api):
    api.script = [lambda handler: time.sleep(0.5)] * 3
    with pytest.raises(InputError, match=r"timed out \(tried 2 times\)"):
        draw(api, timeout_s=0.1, attempts=2)
    api.server.shutdown()
    api.server.server_close()
    with pytest.raises(InputError, match=r"refused \(tried 3 times\)"):
        draw(api)


def test_a_server_that_drips_is_given_up_in_time(api):
    def drip(handler):
        handler.send_response(200)
        handler.end_headers()
        for _ in range(20):
            try:
                handler.wfile.write(b" ")
            except OSError:
                return
            time.sleep(0.05)

    api.script = [drip]
    with pytest.raises(InputError, match="did not end in time"):
        draw(api, timeout_s=0.2, attempts=1)


def test_a_redirect_is_followed_nowhere(api):
    for status in (301, 302, 307, 308):
        api.script = [(status, {}, {"Location": f"{api.url}/elsewhere"})]
        with pytest.raises(InputError, match=f"status {status}: it leads to another address"):
            draw(api)
    assert {path for path, _ in api.asked} == {"/v1/images/generations"}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (answered(image(), image()), "answered 1 prompt with 2 pictures"),
        (answered(), "answered 1 prompt with 0 pictures"),
        (answered(image(side=32)), "32 x 32 pixels; 64 x 64 was asked for"),
        (answered(base64.b64encode(b"<html>").decode()), "what is no picture: not a PNG"),
        (answered("@@@"), "what is no picture"),
        ((200, {"data": [{"url": "http://elsewhere/x.png"}]}, {}), "addresses are not followed"),
        ((200, {"images": []}, {}), "without a list `data`"),
        ((200, [1], {}), "without a list `data`"),
        ((200, b"<html>", {}), "what is no JSON"),
        ((200, b"[" * 100_000, {}), "what is no JSON"),
    ],
)
def test_what_is_no_picture_of_the_size_is_refused_at_once(api, answer, message):
    api.script = [answer]
    with pytest.raises(WrongAnswer, match=message):
        draw(api)
    assert len(api.asked) == 1


def test_an_answer_without_end_is_cut(api, monkeypatch):
    monkeypatch.setattr(http_client, "MAX_ANSWER", 1000)
    api.script = [(200, b"x" * 200_000, {})]
    with pytest.raises(WrongAnswer, match="more than 1,000 bytes"):
        draw(api)


def test_a_prompt_that_the_service_refuses_is_counted_and_the_others_drawn(api):
    refusal = error(400, "no", code="content_policy_violation")
    api.script = [answered(image(1)), refusal, answered(image(2))]
    images = draw(api, 3)
    assert find_faults(images) == [None, REFUSED, None]


def test_the_key_goes_to_its_own_host_and_into_no_message(api, monkeypatch):
    monkeypatch.setenv(KEY, "sk-secret")
    with pytest.raises(InputError, match=f"say in {KEY_HOST} for which host it is"):
        draw(api)
    monkeypatch.setenv(KEY_HOST, "api.example.com")
    draw(api)
    assert "Authorization" not in api.headers[-1]
    monkeypatch.setenv(KEY_HOST, "127.0.0.1")
    draw(api)
    assert api.headers[-1]["Authorization"] == "Bearer sk-secret"
    api.script = [error(401, "wrong key sk-secret")]
    with pytest.raises(InputError) as caught:
        draw(api)
    assert "sk-secret" not in str(caught.value)
    assert f"the key comes from {KEY}" in str(caught.value)


def test_the_key_never_travels_unencrypted(monkeypatch):
    monkeypatch.setenv(KEY, "sk-secret")
    monkeypatch.setenv(KEY_HOST, "api.example.com")
    model = ImageApi("http://api.example.com/v1")
    with pytest.raises(InputError, match="would travel unencrypted; use https"):
        model.check_samples([], model.resolve_settings({}))


def test_requests_keep_their_distance(api):
    pauses = []
    draw(api, 3, per_minute=6, pauses=pauses)
    assert len(pauses) == 2
    assert 8 < pauses[0] <= 10
    assert 16 < pauses[1] <= 20


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "https://user:pw@host/v1", "https:///v1", "https://h/v1?k=1",
            "ftp://host", "https://host:x/v1", "host/v1"],
)  # fmt: skip
def test_only_plain_web_addresses_are_taken(url):
    with pytest.raises(InputError) as caught:
        ImageApi(url)
    assert "pw" not in str(caught.value)


def test_the_identity_is_address_and_parameters_and_not_patience():
    model = OneStage(ImageApi("https://h/v1"))
    plans = [
        model.plan_stages(model.resolve_settings(changes), 64)[0].settings
        for changes in ({}, {"timeout_s": 5, "price_per_image": 0.04}, {"quality": "low"})
    ]
    assert plans[0] == plans[1] != plans[2]
    assert ImageApi("https://h/v1/").weights == model.weights != ImageApi("https://h/v2").weights


def test_a_picture_larger_than_asked_of_the_service_is_told_before_the_work():
    model = OneStage(ImageApi("https://h/v1"))
    stage = model.plan_stages(model.resolve_settings({"side": 128}), 256)[0]
    with pytest.raises(InputError, match="set side to 256 or more"):
        model.check_samples(stage, ["a"], [("p", 0)])
