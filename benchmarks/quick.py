"""How long `dalle2eval run quick` takes with an empty store, and again when it is finished.

    uv run python benchmarks/quick.py

Runs the command as a user would, in a folder of its own; writes benchmarks/results/quick.json with
wall time, CPU time and peak memory of the cold and the warm call.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import machine_facts

RESULT = Path(__file__).parent / "results" / "quick.json"


def timed(command: list[str], environment: dict[str, str]) -> dict[str, Any]:
    """Run a command and return its times and peak memory."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    subprocess.run(command, env=environment, check=True)
    wall = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "wall_s": round(wall, 1),
        "cpu_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        # ru_maxrss is the largest child so far, so a later, smaller child cannot lower it.
        "peak_memory_mb": after.ru_maxrss // 1024,
    }


def main() -> None:
    """Measure cold, then warm."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", default="quick")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "DALLE2EVAL_STORE": f"{folder}/store"}
        program = [sys.executable, "-m", "dalle2eval", "run", args.suite, "--out", f"{folder}/run"]
        results = {name: timed(program, environment) for name in ("cold", "warm")}
        results["report_mb"] = round(Path(folder, "run", "report.html").stat().st_size / 1e6, 2)
    document = {"machine": machine_facts(), "suite": args.suite, **results}
    args.out.parent.mkdir(exist_ok=True)
    args.out.write_text(json.dumps(document, indent=1) + "\n")
    sys.stdout.write(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
