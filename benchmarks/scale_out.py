"""How far one driver carries a run: a discrete-event simulation up to 1,000 GPUs.

    uv run python benchmarks/scale_out.py

The graph is that of the suite `prior` (12 arms; four share each of their stages before the decoder)
over many shards; the schedule is the executor's own `ablations.frontier`; a worker takes a unit's
seconds, and the driver, who does one thing at a time, takes its CPU time for a unit and a megabyte
from benchmarks/results/ray.json and the time of a store's write, measured here; both on this
machine. How long a GPU draws a shard is an assumption and is varied.
Prints the tables of docs/scale-out.md and writes benchmarks/results/scale_out.json.
"""

from __future__ import annotations

import argparse
import heapq
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import machine_facts

from ablations.frontier import Frontier
from ablations.units import Unit
from dalle2eval.store import Store

RESULTS = Path(__file__).parent / "results"
SHARD = 16
CONDITIONINGS, GUIDANCES = 3, 4  # of `prior`: prior, text embedding, caption; each at 4 scales
WORKERS = (10, 100, 300, 1000)
DRAW_S = (2.0, 10.0, 60.0)  # a shard of 16 through a decoder on one GPU: assumed
JUDGE_S, PROBE_S, ESTIMATE_S = 0.05, 0.2, 30.0  # assumed: a judge's pass, a probe, an arm's numbers
MB = 1e-6
# Bytes of artefacts: a z_i and a judge's features are rows of floats, a picture one PNG strip.
VECTOR_BYTES = 768 * 4
PICTURE_BYTES = {64: 8_000, 1024: 1_200_000}  # a picture of a photograph's kind


@dataclass(frozen=True, slots=True)
class Costs:
    """What the driver spends: seconds on a unit, and on a megabyte that comes in."""

    unit_s: float
    megabyte_s: float


def graph(shards: int, draw_s: float) -> list[Unit]:
    """Return the units of a suite like `prior`, inputs before their readers."""

    def unit(stage: str, name: str, seconds: float, *inputs: Unit) -> Unit:
        return Unit(
            stage=stage,
            kind="array",
            samples=SHARD,
            seconds=seconds,
            identity={"name": name},
            perform=print,
            inputs={"of": inputs} if inputs else {},
        )

    units: list[Unit] = []
    shared = {
        (kind, shard): unit("conditioning", f"{kind} {shard}", draw_s / 5)
        for kind in range(CONDITIONINGS)
        for shard in range(shards)
    }
    for kind in range(CONDITIONINGS):
        for scale in range(GUIDANCES):
            measured = []
            for shard in range(shards):
                name = f"{kind} {scale} {shard}"
                drawn = unit("decoder", name, draw_s, shared[kind, shard])
                features = unit("features", name, JUDGE_S, drawn)
                scores = unit("probe", name, PROBE_S, drawn)
                units += [shared[kind, shard]] if scale == 0 else []
                units += [drawn, features, scores]
                measured += [features, scores]
            units.append(unit("estimates", f"{kind} {scale}", ESTIMATE_S, *measured))
    return units


def size_of(unit: Unit, picture: int) -> int:
    """Return the bytes of a unit's artefact."""
    vectors, pictures = SHARD * VECTOR_BYTES, SHARD * picture
    return {"decoder": pictures, "probe": 2_000, "estimates": 5_000_000}.get(unit.stage, vectors)


def simulate(units: list[Unit], workers: int, costs: Costs, picture: int) -> dict[str, float]:
    """Return how long the run takes, and the shares of it that workers and driver are at work."""
    frontier, free = Frontier(units), workers
    working: list[tuple[float, int, Unit]] = []  # units at work, by when they are done
    now = busy = driven = 0.0
    count = 0
    while frontier.left:
        while free and (unit := frontier.take()):
            count, free = count + 1, free - 1
            heapq.heappush(working, (now + unit.seconds, count, unit))
            busy += unit.seconds
        done, _, unit = heapq.heappop(working)
        cost = costs.unit_s + costs.megabyte_s * size_of(unit, picture) * MB
        now = max(now, done) + cost  # the driver takes one artefact in after another
        driven += cost
        frontier.finish(unit)
        free += 1
    return {
        "hours": now / 3600,
        "worker_share": busy / (now * workers),
        "driver_share": driven / now,
    }


def table(shards: int, costs: Costs, side: int) -> list[dict[str, Any]]:
    """Return a row for each number of workers and time of a drawing."""
    rows = []
    for draw_s in DRAW_S:
        units = graph(shards, draw_s)
        alone = sum(unit.seconds for unit in units) / 3600
        for workers in WORKERS:
            found = simulate(units, workers, costs, PICTURE_BYTES[side])
            rows.append(
                {
                    "picture": side,
                    "draw_s": draw_s,
                    "workers": workers,
                    "hours": round(found["hours"], 3),
                    "speedup": round(alone / found["hours"], 1),
                    "worker_share": round(found["worker_share"], 3),
                    "driver_share": round(found["driver_share"], 3),
                }
            )
    return rows


def facts(shards: int, costs: Costs) -> dict[str, Any]:
    """Return what the graph is, what moves, and where one driver ends."""
    units = graph(shards, 1.0)
    moved = {side: sum(size_of(u, p) for u in units) for side, p in PICTURE_BYTES.items()}
    a_unit = {side: total / len(units) for side, total in moved.items()}
    return {
        "shards": shards,
        "pictures": shards * SHARD * CONDITIONINGS * GUIDANCES,
        "units": len(units),
        "artefacts_gb": {side: round(total / 1e9, 2) for side, total in moved.items()},
        "driver_units_per_s": {
            side: round(1 / (costs.unit_s + costs.megabyte_s * size * MB), 1)
            for side, size in a_unit.items()
        },
    }


def say(rows: list[dict[str, Any]]) -> None:
    """Print rows as a table of Markdown."""
    names = list(rows[0])
    lines = [" | ".join(names), "|".join("---:" for _ in names)]
    lines += [" | ".join(str(row[name]) for name in names) for row in rows]
    sys.stdout.write("\n".join(f"| {line} |" for line in lines) + "\n\n")


def costs_from(measured: Mapping[str, Any]) -> Costs:
    """Return the driver's costs as benchmarks/ray_workers.py measured them, with the writes."""
    driver = measured["driver"]
    return Costs(
        unit_s=round(driver["cpu_s_per_unit"] + write_seconds(), 6),
        megabyte_s=driver["cpu_s_per_megabyte"],
    )


def write_seconds(n: int = 300) -> float:
    """Return the median wall time of keeping a small artefact: two files, each synced to disk."""
    times = []
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        for k in range(n):
            started = time.perf_counter()
            store.keep(f"{k:064d}", "json", b"0" * 1000, made_of={})
            times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    """Simulate, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=int, default=625, help="of 16: 10,000 prompts")
    parser.add_argument("--costs", type=Path, default=RESULTS / "ray.json")
    parser.add_argument("--out", type=Path, default=RESULTS / "scale_out.json")
    args = parser.parse_args()
    costs = costs_from(json.loads(args.costs.read_text(encoding="utf-8")))
    told = facts(args.shards, costs)
    tables = {side: table(args.shards, costs, side) for side in PICTURE_BYTES}
    document = {
        "machine": machine_facts(),
        "driver": {"unit_s": costs.unit_s, "megabyte_s": costs.megabyte_s},
        "assumed": {
            "draw_s": DRAW_S,
            "judge_s": JUDGE_S,
            "probe_s": PROBE_S,
            "estimate_s": ESTIMATE_S,
            "picture_bytes": PICTURE_BYTES,
        },
        **told,
        "tables": tables,
    }
    args.out.write_text(json.dumps(document, indent=1) + "\n")
    sys.stdout.write(json.dumps({"driver": document["driver"], **told}, indent=1) + "\n\n")
    for rows in tables.values():
        say(rows)


if __name__ == "__main__":
    main()
