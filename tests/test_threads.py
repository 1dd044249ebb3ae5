"""Threads that wait leave the core to the one that works."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from dalle2eval.threads import DECIDED_BY, SPINS, let_waiting_threads_sleep


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="libgomp only")
def test_the_command_line_sets_the_policy_before_torch_loads_openmp() -> None:
    """Set a line later, it would be in the environment and change nothing."""
    environment = {name: value for name, value in os.environ.items() if name not in DECIDED_BY}
    done = subprocess.run(
        [sys.executable, "-m", "dalle2eval", "doctor"],
        capture_output=True,
        text=True,
        env=environment | {"OMP_DISPLAY_ENV": "VERBOSE"},
        check=False,
    )
    assert f"GOMP_SPINCOUNT = '{SPINS}'" in done.stderr


@pytest.mark.parametrize("variable", DECIDED_BY)
def test_a_policy_that_somebody_set_is_left_as_it_is(variable: str) -> None:
    environment = {variable: "1"}
    assert let_waiting_threads_sleep(environment) is False
    assert environment == {variable: "1"}
