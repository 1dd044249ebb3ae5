"""Runs a plan and leaves a run folder; killed at any moment and called again, it goes on.

The store holds what was made, the folder's ``events.jsonl`` what happened. Plan and environment are
written before the first unit; numbers are written when the last one is done.
"""

from __future__ import annotations

import resource
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ablations.cost import cost_of
from ablations.counting import count_samples
from ablations.events import Events
from ablations.executors import Done, Executor, load
from ablations.faulty import fault_notes
from ablations.plan import Work
from ablations.progress import Silent, Watcher
from ablations.run_folder import (
    COMPARISONS,
    CONTRIBUTIONS,
    ESTIMATES,
    SCORES,
    Sample,
    claim,
    file_sha256,
    kept_sizes,
    samples_of,
    score_columns,
    summary_of,
    write_json,
    write_sample,
    write_table,
)
from ablations.workshop import Workshop
from dalle2eval.store import Store, check_writable


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where and with what a run works.

    Attributes:
        folder: the run folder.
        environment: describes this machine, for ``environment.json``; asked once a folder.
        notes: cautions to print beside the numbers.
    """

    folder: Path
    store: Store
    workshop: Workshop
    executor: Executor
    environment: Callable[[], Mapping[str, Any]]
    notes: Sequence[str] = ()
    watcher: Watcher = field(default_factory=Silent)


def run_work(work: Work, site: Site) -> Path:
    """Do the work that is not done yet, write the run folder and return it.

    Raises:
        InputError: a place cannot be written, or the folder holds another plan.
        DiskFullError: a disk is full; what is done stays done.
    """
    started = time.monotonic()
    check_writable(site.store.root, "--store")
    with claim(site.folder, work.plan) as diary:
        events = Events(diary)
        try:
            elsewhere = _do(work, site, events)
        finally:
            site.watcher.close()
        peak = max(_peak_memory_mb(), elsewhere)
        finish = {"seconds": round(time.monotonic() - started, 2), "peak_memory_mb": peak}
        _write_numbers(work, site, events, finish)
    return site.folder


def _do(work: Work, site: Site, events: Events) -> int:
    """Make every unit that is missing, and every picture as soon as its unit is there.

    Returns:
        The peak memory in MB of the largest other process that made units.
    """
    samples = _samples_by_address(work)
    missing = [u for u in work.units if not site.store.has(u.address, u.kind)]
    site.watcher.begin(missing, len(work.units) - len(missing))
    _tell_environment(site)
    events.write("begin", units=len(work.units), cached=len(work.units) - len(missing))
    written, peak = _written_samples(events), 0
    for done in site.executor.run(work.units, site.store, site.workshop):
        _note(done, events, site.watcher)
        peak = max(peak, done.peak_memory_mb)
        fresh = _export(done, samples[done.unit.address], site, written)
        if fresh:
            events.write("samples", files=fresh)
    site.watcher.end()
    return peak


def _tell_environment(site: Site) -> None:
    """Write what the work is about to be done on, once a folder; it takes seconds to find out."""
    if not (site.folder / "environment.json").exists():
        write_json(site.folder / "environment.json", site.environment())


def _samples_by_address(work: Work) -> Mapping[str, list[Sample]]:
    """Return the pictures that each unit's images end in; shared units end in several arms."""
    found: dict[str, list[Sample]] = defaultdict(list)
    for arm in work.arms:
        for drawn in arm.drawn:
            for size in kept_sizes(drawn):
                found[drawn.images[size].address] += samples_of(arm.arm.name, drawn, size)
    return found


def _written_samples(events: Events) -> dict[str, str]:
    """Return the SHA-256 of every picture written so far, by its path."""
    files: dict[str, str] = {}
    for event in events.past:
        if event["event"] == "samples":
            files |= event["files"]
    return files


def _note(done: Done, events: Events, watcher: Watcher) -> None:
    if done.cached:
        return
    unit = done.unit
    events.write(
        "unit",
        address=unit.address,
        stage=unit.stage,
        samples=unit.samples,
        forward_passes=unit.forward_passes,
        seconds=round(done.seconds, 4),
    )
    watcher.advance(done)


def _export(
    done: Done, samples: Sequence[Sample], site: Site, written: Mapping[str, str]
) -> dict[str, str]:
    """Write the pictures that are not in the folder, whole, and return their hashes by path."""
    missing = [
        sample
        for sample in samples
        if sample.path not in written
        or file_sha256(site.folder / sample.path) != written[sample.path]
    ]
    if not missing:
        return {}
    images = load(done.unit, site.store, site.workshop)
    return {sample.path: write_sample(site.folder, sample, images) for sample in missing}


def _write_numbers(work: Work, site: Site, events: Events, finish: Mapping[str, Any]) -> None:
    judged = {arm.arm.name: load(arm.judged, site.store, site.workshop) for arm in work.arms}
    tests = [row for u in work.self_tests for row in load(u, site.store, site.workshop)]
    folder = site.folder
    scores = (score_columns(arm, row) for arm, of in judged.items() for row in of["scores"])
    write_table(folder / "scores.parquet", scores, SCORES)
    added = ({"arm": arm, **row} for arm, of in judged.items() for row in of["contributions"])
    write_table(folder / "contributions.parquet", added, CONTRIBUTIONS)
    events.write("finish", **finish)
    cost = cost_of(work.units, events.past)
    counts = count_samples(work, judged, folder)
    notes = [*fault_notes(judged), *site.notes]
    rest = {"self_tests": tests, "counts": counts, "cost": cost, "notes": notes}
    summary = summary_of(work, judged, **rest)
    write_table(folder / "estimates.parquet", summary["estimates"], ESTIMATES)
    write_table(folder / "comparisons.parquet", summary["comparisons"], COMPARISONS)
    write_json(folder / "summary.json", summary)


def _peak_memory_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
