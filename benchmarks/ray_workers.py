"""What a Ray cluster on this machine gains and costs: two workers beside one process.

    uv run --extra ray python benchmarks/ray_workers.py

Draws the same shards with the bundled weights in turns: one process, and two Ray workers, each with
one thread; one process with two threads. The rate counts from when all are at work. Then units
that do nothing but return bytes: what the driver spends on a unit, and on a megabyte. On a machine
with other work the rates are its leftovers, and only the ratios within a round say something.
Writes benchmarks/results/ray.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from machine import machine_facts

RESULT = Path(__file__).parent / "results" / "ray.json"
MEGABYTE = 10**6
LARGE = 4 * MEGABYTE
SETTINGS = {"decoder_steps": 4, "prior_steps": 2}


def drawing_units(shards: int, first: int) -> list[Any]:
    """Return the stages of ``shards`` batches of 16 pictures, none of which was drawn before."""
    from ablations.tasks import stage_unit
    from dalle2eval.records import Prompt, SampleKey
    from reference_model import load

    model = load("scenes", device="cpu")
    chain = model.plan_stages(model.resolve_settings(SETTINGS))
    prompts = [Prompt(id="p", text="a red circle")] * 16
    units = []
    for shard in range(shards):
        keys = [SampleKey(prompt_id="p", seed=first + 16 * shard + k) for k in range(16)]
        unit = None
        for stage in chain:
            unit = stage_unit(stage, prompts, keys, unit)
            units.append(unit)
    return units


def idle_units(n: int, size: int) -> list[Any]:
    """Return units that make ``size`` bytes and do nothing else."""
    from ablations.units import Unit

    return [
        Unit(
            stage="idle",
            kind="array",
            samples=1,
            seconds=0.001,
            identity={"n": k, "size": size, "at": time.time()},
            perform=partial(make_nothing, size),
        )
        for k in range(n)
    ]


def make_nothing(size: int, _workshop: Any, _values: Mapping[str, Any]) -> Any:
    """Return so many bytes."""
    import numpy as np

    return np.zeros(size, np.uint8)


def rate(executor: Any, units: Sequence[Any], workers: int, workshop: Any) -> dict[str, float]:
    """Return units a second and the driver's CPU time, from when all workers are at work."""
    from dalle2eval.store import Store

    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        begun, count, cpu = None, 0, 0.0
        for done in executor.run(units, Store(Path(folder)), workshop):
            if begun is None and done.workers >= workers:
                begun, cpu = time.perf_counter(), time.process_time()
            elif begun is not None:
                count += 1
        if begun is None:
            raise SystemExit("the units ran out before all workers had started; take more")
        seconds = time.perf_counter() - begun
    return {
        "units_per_s": count / seconds,
        "driver_cpu_s_per_unit": (time.process_time() - cpu) / count,
        "until_all_at_work_s": begun - started,
        "counted": count,
    }


def sides() -> Iterator[tuple[str, Any, int, int]]:
    """Yield what is compared: its name, executor, workers and threads of each."""
    from ablations.catalogue import find_judge, open_ensemble, open_workshop
    from ablations.executors import LocalExecutor
    from ablations.ray_executor import RayExecutor

    model, judge = open_ensemble("scenes", "cpu"), find_judge()
    weights = {model.name: model.weights, judge.name: judge.weights}
    recipe = partial(open_workshop, "scenes", "cpu")
    yield "one_process_one_thread", LocalExecutor(), 1, 1
    yield "ray_two_workers_one_thread", RayExecutor(recipe=recipe, weights=weights, workers=2), 2, 1
    yield "one_process_two_threads", LocalExecutor(), 1, 2


def drawing(rounds: int, shards: int) -> Iterator[dict[str, Any]]:
    """Yield, after each round, units a second of each side by round, and the ratios within them."""
    import torch

    from ablations.catalogue import open_workshop

    found: dict[str, list[float]] = {name: [] for name, *_ in sides()}
    starts = []
    for number in range(rounds):
        for name, executor, workers, threads in sides():
            torch.set_num_threads(threads)
            units = drawing_units(shards, first=10**6 * number)
            measured = rate(executor, units, workers, open_workshop("scenes", "cpu"))
            found[name].append(round(measured["units_per_s"], 3))
            if workers > 1:
                starts.append(round(measured["until_all_at_work_s"], 1))
            sys.stderr.write(f"round {number} {name}: {measured}\n")
        yield {"units_per_s": found, **ratios(found), "workers_ready_s": starts}


def ratios(found: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Return each side's rate to that of one process with one thread, in its round."""
    base = found["one_process_one_thread"]
    by_round = {
        name: [round(a / b, 2) for a, b in zip(rates, base, strict=True)]
        for name, rates in found.items()
    }
    median = {name: statistics.median(values) for name, values in by_round.items()}
    return {"to_one_process_one_thread": by_round, "median_ratio": median}


def driver_costs(n: int) -> dict[str, Any]:
    """Return what the driver spends on a small unit, and on each megabyte of a large one."""
    import torch

    from ablations.catalogue import open_workshop
    from dalle2eval.store import Store

    torch.set_num_threads(1)
    executor = next(executor for name, executor, *_ in sides() if name.startswith("ray"))
    units = [*idle_units(n, 1000), *idle_units(n // 4, LARGE)]
    clocks: dict[int, list[tuple[float, float]]] = {1000: [], LARGE: []}
    with tempfile.TemporaryDirectory() as folder:
        for done in executor.run(units, Store(Path(folder)), open_workshop("scenes", "cpu")):
            if done.workers > 1:
                clocks[done.unit.identity["size"]].append(
                    (time.perf_counter(), time.process_time())
                )
    (small, small_cpu), (large, large_cpu) = (per_unit(clock) for clock in clocks.values())
    megabytes = LARGE / MEGABYTE
    return {
        "units": {size: len(clock) for size, clock in clocks.items()},
        "wall_s_per_unit": round(small, 6),
        "cpu_s_per_unit": round(small_cpu, 6),
        "wall_s_per_megabyte": round(max(large - small, 0.0) / megabytes, 6),
        "cpu_s_per_megabyte": round(max(large_cpu - small_cpu, 0.0) / megabytes, 6),
    }


def per_unit(clock: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return wall and CPU seconds from one unit to the next, over all of them."""
    (wall, cpu), (last_wall, last_cpu) = clock[0], clock[-1]
    return (last_wall - wall) / (len(clock) - 1), (last_cpu - cpu) / (len(clock) - 1)


def main() -> None:
    """Measure in one cluster, then write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--idle", type=int, default=200)
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # torch is told each side's own
    # Ray's workers give way to everybody else (nice 15); here they stand beside a process that
    # does not.
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  (Ray's own spelling)

    from ablations.ray_cluster import connected

    started = time.perf_counter()
    with connected(None, 2):
        connect_s = round(time.perf_counter() - started, 1)
        document: dict[str, Any] = {"machine": machine_facts(), "cluster_start_s": connect_s}
        document["driver"] = driver_costs(args.idle)
        sys.stderr.write(json.dumps(document["driver"]) + "\n")
        for so_far in drawing(args.rounds, args.shards):
            document["drawing"] = so_far
            document["machine"]["load_average_after"] = list(os.getloadavg())
            args.out.write_text(json.dumps(document, indent=1) + "\n")
    sys.stdout.write(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
