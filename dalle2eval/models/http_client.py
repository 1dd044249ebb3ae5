"""One careful JSON request: retries with growing pauses, ``Retry-After``, limits, one host only.

Redirects are refused, whichever way they lead: the key and the prompts go to the host that the
user named and to no other. What a server says is shown short, escaped and without the key.
"""

from __future__ import annotations

import email.utils
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import SplitResult, urlsplit

from dalle2eval.models.faults import WrongAnswer
from dalle2eval.records import InputError

MAX_ANSWER = 2**27  # bytes; a picture of 4096 px as base64 has about half
CHUNK = 2**16
LONGEST_PAUSE_S = 120.0  # a server that asks for more has closed for today
FIRST_PAUSE_S = 1.0
PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504})  # statuses that may pass
LOOPBACK = ("localhost", "127.0.0.1", "::1")
SHOWN = 160  # characters of a server's text in a message


@dataclass(frozen=True, slots=True, kw_only=True)
class Conduct:
    """How often and how long to try."""

    timeout_s: float
    attempts: int


class RequestRefused(InputError):  # noqa: N818  (it says what the server did)
    """The server refused the request itself, so that asking again would not help."""

    def __init__(self, message: str, *, status: int, code: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_request: Any) -> None:
        """Follow nothing: the answer comes back as an error of its status."""


def check_url(url: str) -> SplitResult:
    """Return the parts of an API's address.

    Raises:
        InputError: it is no plain http or https address; a key belongs in the environment.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname
        parts.port  # noqa: B018  (raises for what is no port)
    except ValueError as error:
        raise InputError(f"no address of an API: {url[:SHOWN]!r} ({error})") from None
    if parts.username or parts.password or "@" in parts.netloc:
        raise InputError("an API's address holds no user and no password; see DALLE2EVAL_HTTP_KEY")
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise InputError(
            f"no address of an API: {url[:SHOWN]!r}; expected http(s)://HOST[:PORT]/PATH"
        )
    return parts


def post_json(
    url: str,
    body: Mapping[str, Any],
    *,
    key: str | None,
    conduct: Conduct,
    sleep: Callable[[float], None] = time.sleep,
) -> Any:
    """Post JSON and return the JSON that is answered.

    Args:
        url: checked by `check_url`.
        body: plain JSON data.
        key: sent as a bearer token; None for none.
        conduct: how often and how long to try.
        sleep: waits some seconds.

    Raises:
        RequestRefused: the server refused this request for good.
        InputError: it could not be reached, or did not recover.
        WrongAnswer: it answered with what is no JSON, or with too much.
    """
    problem: InputError
    for attempt in range(1, conduct.attempts + 1):
        try:
            return _once(url, body, key, conduct.timeout_s)
        except urllib.error.HTTPError as error:
            problem = _refusal(error, url, key)
            if error.code not in PASSING:
                raise problem from None
            pause = _retry_after(error.headers.get("Retry-After"))
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            problem = InputError(f"{url}: {_shown(str(reason) or type(error).__name__, key)}")
            pause = None
        if pause is not None and pause > LONGEST_PAUSE_S:
            raise InputError(f"{problem}; it asks to wait {pause:.0f} s, call again then") from None
        if attempt < conduct.attempts:
            backoff = min(FIRST_PAUSE_S * 2 ** (attempt - 1), LONGEST_PAUSE_S)
            sleep(backoff if pause is None else pause)
    raise InputError(f"{problem} (tried {conduct.attempts} times)")


def _once(url: str, body: Mapping[str, Any], key: str | None, timeout_s: float) -> Any:
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="POST")
    handlers: list[Any] = [_NoRedirect()]
    if urlsplit(url).hostname in LOOPBACK:
        handlers.append(urllib.request.ProxyHandler({}))  # this machine is not behind a proxy
    opener = urllib.request.build_opener(*handlers)
    deadline = time.monotonic() + timeout_s
    with opener.open(request, timeout=timeout_s) as answer:
        content = _read(answer, deadline)
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise WrongAnswer(f"{url} answered with what is no JSON: {content[:40]!r}") from None


def _read(answer: Any, deadline: float) -> bytes:
    """Read an answer in parts, so that a server which drips is given up in time too."""
    parts, total = [], 0
    while part := answer.read(CHUNK):
        parts.append(part)
        total += len(part)
        if total > MAX_ANSWER:
            raise WrongAnswer(f"an answer of more than {MAX_ANSWER:,} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError("the answer did not end in time")
    return b"".join(parts)


def _refusal(error: urllib.error.HTTPError, url: str, key: str | None) -> RequestRefused:
    told = _told(error)
    text = str(told.get("message") or error.reason or "")
    code = str(told.get("code") or told.get("type") or "")
    if 300 <= error.code < 400:  # noqa: PLR2004
        text = "it leads to another address, which is not followed"
    message = f"{url}: status {error.code}: {_shown(text, key)}"
    return RequestRefused(message, status=error.code, code=code)


def _told(error: urllib.error.HTTPError) -> dict[str, Any]:
    try:
        data = json.loads(error.read(CHUNK))
        told = data.get("error", data)
        return told if isinstance(told, dict) else {"message": told}
    except (OSError, ValueError, RecursionError, AttributeError, http.client.HTTPException):
        return {}


def _shown(text: str, key: str | None) -> str:
    if key:
        text = text.replace(key, "***")
    plain = " ".join(text.split())
    return "".join(c if c.isprintable() else "?" for c in plain)[:SHOWN]


def _retry_after(value: str | None) -> float | None:
    """Return the seconds that a server asks to wait (RFC 9110, section 10.2.3), if it does."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value.strip()[:9])
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max((moment - datetime.now(UTC)).total_seconds(), 0.0)
