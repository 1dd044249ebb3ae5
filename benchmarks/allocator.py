"""What it costs to give freed memory back: drawing with glibc's allocator as it is, and held.

    uv run python benchmarks/allocator.py --repeats 3

Each side draws the same pictures in a process of its own, in turns (dalle2eval/allocator.py).
Writes benchmarks/results/allocator.json: seconds, seconds in the kernel, page faults, peak memory.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from machine import machine_facts

from dalle2eval.allocator import DECIDED_BY, keep_freed_memory

RESULT = Path(__file__).parent / "results" / "allocator.json"
SIDES = {"given back": False, "kept": True}


def draw(*, held: bool, pictures: int) -> dict[str, Any]:
    """Draw at 64 px, once to warm up, and return what the second time took."""
    if held and not keep_freed_memory():
        raise SystemExit("this process's allocator cannot be set")
    from reference_model import load

    model = load("scenes", device="cpu")
    prompts = ["two blue stars"] * pictures
    model.generate(prompts, range(pictures))
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    images = model.generate(prompts, range(pictures))
    seconds, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": round(seconds, 2),
        "kernel_seconds": round(after.ru_stime - before.ru_stime, 2),
        "page_faults": after.ru_minflt - before.ru_minflt,
        "peak_memory_mb": after.ru_maxrss // 1024,
        "images": hashlib.sha256(images.tobytes()).hexdigest(),
    }


def measure_in_a_process(side: str, pictures: int) -> dict[str, Any]:
    """Return `draw` of a fresh process whose environment leaves the allocator alone."""
    environment = {name: value for name, value in os.environ.items() if name not in DECIDED_BY}
    command = [sys.executable, __file__, "--side", side, "--pictures", str(pictures)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return {"side": side} | json.loads(done.stdout)


def main() -> None:
    """Measure both sides in turns; print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--side", choices=SIDES, help="one side, in this process")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    if args.side:
        sys.stdout.write(json.dumps(draw(held=SIDES[args.side], pictures=args.pictures)))
        return
    turns = [
        measure_in_a_process(side, args.pictures) for _ in range(args.repeats) for side in SIDES
    ]
    if len({turn["images"] for turn in turns}) > 1:
        raise SystemExit("the sides drew different pictures")
    median = {
        side: statistics.median(turn["seconds"] for turn in turns if turn["side"] == side)
        for side in SIDES
    }
    document = {
        "machine": machine_facts(),
        "pictures": args.pictures,
        "turns": turns,
        "median_seconds": median,
        "times_faster": round(median["given back"] / median["kept"], 2),
    }
    args.out.parent.mkdir(exist_ok=True)
    args.out.write_text(json.dumps(document, indent=1) + "\n")
    sys.stdout.write(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
