"""How long each stage of the bundled stack takes, in seconds a picture and network calls.

    uv run python benchmarks/sampling.py

Writes benchmarks/results/sampling.json with the machine's facts. Batches are those of a run (16).
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from machine import machine_facts

from reference_model import DALLE2, load

RESULT = Path(__file__).parent / "results" / "sampling.json"
PROMPTS = (
    "a red circle",
    "two blue stars",
    "a green ring above a white cross",
    'the word "SUN" in red',
)


def time_stages(model: DALLE2, n: int, size: int) -> list[dict[str, Any]]:
    """Run the chain to ``size`` pixels on n pictures, each stage twice; keep the second time."""
    prompts = [PROMPTS[k % len(PROMPTS)] for k in range(n)]
    keys = [(prompt, k) for k, prompt in enumerate(prompts)]
    rows, values = [], None
    for stage in model.plan_stages(model.resolve_settings({}), size):
        for _ in range(2):  # the first call loads weights
            started = time.monotonic()
            made = model.run_stage(stage, prompts, keys, values)
            seconds = time.monotonic() - started
        values = made
        rows.append(
            {
                "stage": stage.name,
                "pictures": n,
                "forward_passes": stage.forward_passes,
                "seconds_per_picture": round(seconds / n, 4),
            }
        )
    return rows


def main() -> None:
    """Measure 16 pictures to 256 px and two to 1024 px; print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=16)
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    model = load("scenes", device="cpu")
    rows = time_stages(model, args.n, 256) + time_stages(model, 2, 1024)[-1:]
    document = {
        "machine": machine_facts(),
        "weights": model.weights,
        "stages": rows,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    args.out.parent.mkdir(exist_ok=True)
    args.out.write_text(json.dumps(document, indent=1) + "\n")
    sys.stdout.write(json.dumps(document["stages"], indent=1) + "\n")


if __name__ == "__main__":
    main()
