"""What spinning threads cost: drawing alone and beside a busy process, by how OpenMP waits.

    uv run python benchmarks/waiting.py --repeats 3

Each side draws the same pictures in a process of its own, in turns. libgomp's threads spin for
milliseconds at the end of every parallel loop: on cores of one's own that hides the cost of waking
up, beside another process the spinning thread takes the core from the one that it waits for.
Writes benchmarks/results/waiting.json: seconds of every turn and their medians.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from machine import machine_facts

from dalle2eval.threads import DECIDED_BY, SPINS

RESULT = Path(__file__).parent / "results" / "waiting.json"
POLICIES: dict[str, dict[str, str]] = {
    "as it is": {},
    "spin briefly": {"GOMP_SPINCOUNT": SPINS},
    "asleep": {"OMP_WAIT_POLICY": "PASSIVE"},
}
COMPANY = {"alone": 0, "beside one busy process": 1}


def draw(pictures: int) -> dict[str, Any]:
    """Draw at 64 px, once to warm up, and return what the second time took."""
    from reference_model import load

    model = load("scenes", device="cpu")
    prompts = ["two blue stars"] * pictures
    model.generate(prompts, range(pictures))
    started = time.monotonic()
    images = model.generate(prompts, range(pictures))
    return {
        "seconds": round(time.monotonic() - started, 2),
        "images": hashlib.sha256(images.tobytes()).hexdigest(),
    }


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep so many cores busy."""
    command = [sys.executable, "-c", "while True: pass"]
    running = [subprocess.Popen(command) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def measure_in_a_process(policy: str, company: str, pictures: int) -> dict[str, Any]:
    """Return `draw` of a fresh process whose environment says how its threads wait."""
    environment = {name: value for name, value in os.environ.items() if name not in DECIDED_BY}
    command = [sys.executable, __file__, "--drawing", "--pictures", str(pictures)]
    with busy(COMPANY[company]):
        done = subprocess.run(
            command, env=environment | POLICIES[policy], check=True, capture_output=True, text=True
        )
    return {"policy": policy, "company": company} | json.loads(done.stdout)


def medians(turns: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return the median seconds by company and policy."""
    return {
        company: {
            policy: statistics.median(
                turn["seconds"]
                for turn in turns
                if (turn["policy"], turn["company"]) == (policy, company)
            )
            for policy in POLICIES
        }
        for company in COMPANY
    }


def main() -> None:
    """Measure every side in turns; print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--drawing", action="store_true", help="draw once, in this process")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    if args.drawing:
        sys.stdout.write(json.dumps(draw(args.pictures)))
        return
    turns = [
        measure_in_a_process(policy, company, args.pictures)
        for _ in range(args.repeats)
        for company in COMPANY
        for policy in POLICIES
    ]
    if len({turn["images"] for turn in turns}) > 1:
        raise SystemExit("the sides drew different pictures")
    document = {
        "machine": machine_facts(),
        "pictures": args.pictures,
        "turns": turns,
        "median_seconds": medians(turns),
    }
    args.out.parent.mkdir(exist_ok=True)
    args.out.write_text(json.dumps(document, indent=1) + "\n")
    sys.stdout.write(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
