"""The voting server: a page, its pictures by pair id, and two calls that take JSON.

    GET  /                            the page (elsewhere than on loopback: /?token=...)
    GET  /picture/<pair>/<slot>.webp?token=...
    POST /join  {name, key}           -> {name, showings, answered}
    POST /vote  {key, pair, choice, seconds} -> {choice}

Of the standard library alone. A vote is answered when it is on the disk, so a page whose server was
killed sends it again and finds it kept, once. No path of a file is ever made from a request: a pair
id is looked up among the study's own.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Mapping
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from dalle2eval.records import InputError
from dalle2eval.votes.guarding import Guard, RateLimit, Refused
from dalle2eval.votes.page import served_page, shown_prompt
from dalle2eval.votes.sequence import CHOICES, Showing, sequence
from dalle2eval.votes.store import MAX_KEY, MIN_KEY, Vote, VoteStore, known_seconds
from dalle2eval.votes.study import Study

MAX_BODY = 4096  # bytes of a request
PATIENCE_S = 20.0  # for a client that sends slowly
_PICTURE = re.compile(r"/picture/([0-9a-f]{16})/(first|second)\.webp")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


class VoteServer(ThreadingHTTPServer):
    """Serves one study until it is stopped; every request has a thread of its own.

    Attributes:
        link: what a voter opens.
    """

    daemon_threads = True
    request_queue_size = 128  # a class opens the link at once

    def __init__(self, study: Study, *, host: str = "127.0.0.1", port: int = 0) -> None:
        """Open the study's votes and listen; port 0 takes any free one.

        Raises:
            InputError: the address cannot be used, or the votes cannot be read.
        """
        self.study = study
        self.store = VoteStore(study.database, study.id)
        self.guard = Guard(host=host, token=self.store.token())
        self.page, self.policy = served_page(study, token=self.guard.token)
        self.joins = RateLimit(per_second=1.0, burst=60.0)  # by address: a classroom shares one
        self.votes = RateLimit(per_second=3.0, burst=30.0)  # by voter
        self.loads = RateLimit(per_second=50.0, burst=500.0)  # by address
        self.showings = lru_cache(maxsize=1000)(self._showings)
        if ":" in host:
            self.address_family = socket.AF_INET6
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            self.store.close()
            raise InputError(f"cannot listen on {host} port {port}: {error}") from None

    @property
    def link(self) -> str:
        """Return the address of the page, with its token where others can reach it."""
        host = self.guard.host
        shown = socket.gethostname() if host in ("0.0.0.0", "::") else host
        name = f"[{shown}]" if ":" in shown else shown
        query = f"?token={self.guard.token}" if self.guard.link_needs_token else ""
        return f"http://{name}:{self.server_address[1]}/{query}"

    def server_close(self) -> None:
        """Stop listening and close the votes."""
        super().server_close()
        self.store.close()

    def join(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Register a voter, or take one up again, and return what they see."""
        name, key = _text(body, "name"), _text(body, "key")
        if not MIN_KEY <= len(key) <= MAX_KEY:
            raise Refused(400, f"key: {MIN_KEY} to {MAX_KEY} characters")
        voter = self.store.join(name, key, source="server")
        showings = []
        for showing in self.showings(voter).values():
            first, second = (self._address(showing.pair.id, slot) for slot in ("first", "second"))
            left, right = (first, second) if showing.left == "first" else (second, first)
            prompt = shown_prompt(self.study, showing.pair.id)
            showings.append(
                {"pair": showing.pair.id, "prompt": prompt, "left": left, "right": right}
            )
        answered = sorted(self.store.answered(voter))
        return {"name": voter, "showings": showings, "answered": answered}

    def vote(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Keep one vote; the answer says which choice counts."""
        voter = self.store.voter_of(_text(body, "key"))
        if voter is None:
            raise Refused(403, "nobody votes with this key; load the page again")
        self.votes.check(voter)
        found = self.showings(voter).get(_text(body, "pair"))
        if found is None:
            raise Refused(400, "this pair is not one of yours")
        choice = _text(body, "choice")
        if choice not in CHOICES:
            raise Refused(400, f"choice: one of {', '.join(CHOICES)}")
        vote = Vote(
            voter=voter,
            pair=found.pair.id,
            choice=found.slot_chosen(choice),
            left=found.left,
            seconds=known_seconds(body.get("seconds")),
        )
        return {"choice": self.store.record(vote)}

    def _showings(self, voter: str) -> dict[str, Showing]:
        return {showing.pair.id: showing for showing in sequence(self.study, voter)}

    def _address(self, pair_id: str, slot: str) -> str:
        return f"/picture/{pair_id}/{slot}.webp?token={self.guard.token}"


class _Handler(BaseHTTPRequestHandler):
    server: VoteServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "dalle2eval", ""
    timeout = PATIENCE_S

    def do_GET(self) -> None:
        """Answer with the page or a picture."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """Answer a call of the page."""
        self._answer(self._post)

    def _answer(self, make: Any) -> None:
        try:
            self.server.guard.check_host(self.headers.get("Host", ""))
            self.server.loads.check(self.client_address[0])
            make()
        except Refused as refusal:
            self._refuse(refusal.status, str(refusal))
        except InputError as error:
            self._refuse(400, str(error))
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            self.close_connection = True
        except Exception as error:
            self._refuse(500, f"{type(error).__name__}")

    def _get(self) -> None:
        place = urlsplit(self.path)
        token = parse_qs(place.query).get("token", [""])[0]
        if place.path == "/":
            if self.server.guard.link_needs_token:
                self.server.guard.check_token(token)
            extra = {"Content-Security-Policy": self.server.policy, "Cache-Control": "no-store"}
            self._send(200, self.server.page, "text/html; charset=utf-8", extra)
            return
        match = _PICTURE.fullmatch(place.path)
        if match is None or match[1] not in self.server.study.by_id:
            raise Refused(404, "there is nothing here")
        self.server.guard.check_token(token)
        content = self.server.study.picture(match[1], match[2]).read_bytes()
        self._send(200, content, "image/webp", {"Cache-Control": "private, max-age=3600"})

    def _post(self) -> None:
        origin, site = self.headers.get("Origin"), self.headers.get("Sec-Fetch-Site")
        self.server.guard.check_origin(origin, site, self.headers.get("Host", ""))
        self.server.guard.check_token(self.headers.get("X-Study-Token"))
        body = self._body()
        if self.path == "/join":
            self.server.joins.check(self.client_address[0])
            answer = self.server.join(body)
        elif self.path == "/vote":
            answer = self.server.vote(body)
        else:
            raise Refused(404, "there is nothing here")
        self._send_json(200, answer)

    def _body(self) -> Mapping[str, Any]:
        if self.headers.get_content_type() != "application/json":
            raise Refused(415, "send application/json")
        length = self.headers.get("Content-Length", "")
        said = length.isascii() and length.isdigit() and len(length) <= len(str(MAX_BODY))
        if not said or int(length) > MAX_BODY:
            raise Refused(413, f"send at most {MAX_BODY} bytes, and say how many")
        try:
            body = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            raise Refused(400, "not JSON") from None
        if not isinstance(body, dict):
            raise Refused(400, "send a JSON object")
        return body

    def _refuse(self, status: int, reason: str) -> None:
        self.close_connection = True  # a body may still be on its way
        self._send_json(status, {"error": reason})

    def _send_json(self, status: int, content: Mapping[str, Any]) -> None:
        self._send(status, json.dumps(content).encode(), "application/json", {})

    def _send(self, status: int, content: bytes, kind: str, extra: Mapping[str, str]) -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(content)), **_HEADERS, **extra}
        if self.close_connection:
            headers["Connection"] = "close"
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: a request line holds the token."""


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise Refused(400, f"{name}: missing or not a text")
    return value


def serve(study: Study, *, host: str = "127.0.0.1", port: int = 0, ready: Any = None) -> None:
    """Serve a study until Ctrl-C; ``ready`` is called with the server when it listens."""
    with VoteServer(study, host=host, port=port) as server:
        if ready is not None:
            ready(server)
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            return
