"""Who may talk to the voting server: names it answers to, the study's token, and how often.

* The Host header must be this machine's, so that a foreign name pointed at it (DNS rebinding) gets
  nothing. An address in digits cannot be rebound and is always good where others may come in.
* Votes carry the study's token in a header of their own, which another site's page can neither read
  nor send; the Origin, where the browser names one, must be our own.
* Each sender has a bucket of tokens that fills at a steady rate; empty means "429, later".
"""

from __future__ import annotations

import hmac
import ipaddress
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
MAX_SENDERS = 10_000


class Refused(Exception):  # noqa: N818  (it says what happens)
    """A request that gets an answer of 4xx: its status and one line."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What a request must show.

    Attributes:
        host: the address that the server listens on.
        token: the study's secret.
    """

    host: str
    token: str

    @property
    def link_needs_token(self) -> bool:
        """Say whether the page itself is for holders of the link only."""
        return not is_loopback(self.host)

    def check_host(self, header: str) -> None:
        """Refuse a request that was sent to another name; takes its Host header."""
        name = _host_name(header)
        if name in LOOPBACK_NAMES or name == self.host:
            return
        if is_loopback(self.host) or not (_is_address(name) or name in _own_names()):
            raise Refused(403, "this server does not go by that name")

    def check_origin(self, origin: str | None, site: str | None, host: str) -> None:
        """Refuse what another site's page sends; takes Origin, Sec-Fetch-Site and Host."""
        ours = origin in (None, f"http://{host}")
        if not ours or site not in (None, "same-origin", "none"):
            raise Refused(403, "votes are taken from the study's own page only")

    def check_token(self, given: str | None) -> None:
        """Refuse who does not know the study's token."""
        if not hmac.compare_digest((given or "").encode("utf-8", "replace"), self.token.encode()):
            raise Refused(403, "the link's token is missing or wrong; ask for the whole link")


def _host_name(header: str) -> str:
    """Return the name in a Host header, without its port and the brackets of IPv6."""
    if header.startswith("["):
        return header[1:].split("]")[0].lower()
    return header.rsplit(":", 1)[0].lower() if ":" in header else header.lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


@cache
def _own_names() -> frozenset[str]:
    return frozenset({socket.gethostname().lower(), socket.getfqdn().lower()})


@dataclass(slots=True)
class RateLimit:
    """Token buckets, one a sender: ``burst`` at once, ``per_second`` in the long run."""

    per_second: float
    burst: float
    clock: Callable[[], float] = time.monotonic
    _buckets: dict[str, tuple[float, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self, sender: str) -> None:
        """Take one token of a sender's bucket, or refuse."""
        now = self.clock()
        with self._lock:
            left, before = self._buckets.pop(sender, (self.burst, now))
            left = min(self.burst, left + (now - before) * self.per_second)
            self._buckets[sender] = (max(0.0, left - 1.0), now)
            if len(self._buckets) > MAX_SENDERS:  # the one that was silent longest starts anew
                self._buckets.pop(next(iter(self._buckets)))
        if left < 1.0:
            raise Refused(429, "too many requests; wait a moment")
