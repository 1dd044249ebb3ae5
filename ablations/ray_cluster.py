"""To a Ray cluster and back: start one on this machine, or join one by its address.

Ray is an optional extra and slow to import, so it is imported here, inside the calls.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from dalle2eval.records import InputError

CONNECT_S = 10.0
STARTS = 3
MISSING = (
    "--executor ray needs Ray: pip install 'dalle2eval[ray]' (in a clone: uv sync --extra ray)"
)

# Nothing of ours phones home; and the workers' Python is the one that runs here, with no detour
# through `uv run` that would pack the folder and build an environment for every worker.
SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}


def check_ray() -> None:
    """Raise InputError, with how to install it, where Ray is not."""
    if find_spec("ray") is None:
        raise InputError(MISSING)


@contextmanager
def connected(address: str | None, cpus: int) -> Iterator[Any]:
    """Yield the module ``ray``, connected; a connection that was there is used and left alone.

    Args:
        address: of a cluster (``auto``: the one on this machine); None starts one here and ends it.
        cpus: that a cluster which is started here has room for, whatever this machine has.

    Raises:
        InputError: Ray is not installed, or no cluster of its version answers there.
    """
    check_ray()
    os.environ.update({name: os.environ.get(name, value) for name, value in SETTINGS.items()})
    import ray

    if ray.is_initialized():
        yield ray
        return
    if address is not None:
        _check_answers(address)
    logging.getLogger("ray").setLevel(logging.ERROR)
    started: dict[str, Any] = {"num_cpus": cpus, "include_dashboard": False}
    chosen = {"address": "local", **started} if address is None else {"address": address}
    _begin(ray, chosen, tries=STARTS if address is None else 1)
    try:
        yield ray
    finally:
        ray.shutdown()


def _begin(ray: Any, chosen: dict[str, Any], tries: int) -> None:
    """Connect; try again where the processes of a cluster on a busy machine started too slowly."""
    try:
        ray.init(log_to_driver=False, configure_logging=False, **chosen)
    except Exception as error:  # a bare one after 30 s, which no setting of Ray's changes
        ray.shutdown()
        if tries > 1:
            _begin(ray, chosen, tries - 1)
            return
        where = "here" if chosen["address"] == "local" else f"at --ray-address {chosen['address']}"
        raise InputError(f"no Ray cluster {where}: {' '.join(str(error).split())[:300]}") from None


def _check_answers(address: str) -> None:
    """Raise InputError where nothing listens; Ray itself would try for many minutes."""
    if address == "auto":
        return
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        raise InputError(f"--ray-address {address}: expected HOST:PORT, ray://HOST:PORT or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"no Ray cluster at --ray-address {address}: {reason}") from None


def cores() -> int:
    """Return how many CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
