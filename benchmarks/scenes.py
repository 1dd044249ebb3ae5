"""How fast scenes are drawn and read, and how often the reader is right, clean and disturbed.

    python benchmarks/scenes.py --n 1000 --out benchmarks/results/scenes.json

Speeds are CPU seconds of one thread, so that other work on the machine does not change them.
Every kind of scene has n pictures of 64 pixels for each disturbance; the intervals are Wilson's.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from machine import machine_facts

from dalle2eval.scenes.disturbances import DISTURBANCES
from dalle2eval.scenes.grammar import KINDS, Scene
from dalle2eval.scenes.reader import read
from dalle2eval.scenes.renderer import draw, word_mask
from dalle2eval.scenes.selftest import sample_scenes, verdicts
from dalle2eval.scenes.vocabulary import WORDS
from dalle2eval.statistics import wilson_interval

FIRST_SEED = 8_000_000_000
SIZES = {64: 2000, 256: 200, 1024: 20}  # pixels: pictures to time


def mixed_scenes(number: int) -> list[Scene]:
    """Return scenes of all kinds in turn."""
    each = [sample_scenes(kind, number // len(KINDS), FIRST_SEED) for kind in KINDS]
    return [scene for row in zip(*each, strict=True) for scene in row]


def rendering_speed() -> dict[str, float]:
    """Return scenes drawn a CPU second, by size, once the masks of the words are made."""
    speeds = {}
    for word in WORDS:
        word_mask(word)
    for size, number in SIZES.items():
        scenes = mixed_scenes(number)
        start = time.process_time()
        for index, scene in enumerate(scenes):
            draw(scene, index, size)
        speeds[str(size)] = round(len(scenes) / (time.process_time() - start), 1)
    return speeds


def reading_speed() -> dict[str, dict[str, float]]:
    """Return milliseconds of CPU time a picture, by size and kind."""
    table: dict[str, dict[str, float]] = {}
    for size, number in SIZES.items():
        for kind in KINDS:
            scenes = sample_scenes(kind, max(number // 20, 5), FIRST_SEED)
            pictures = [draw(scene, index, size) for index, scene in enumerate(scenes)]
            read(pictures[0])  # templates are made once
            start = time.process_time()
            for picture in pictures:
                read(picture)
            spent = (time.process_time() - start) / len(pictures)
            table.setdefault(str(size), {})[kind] = round(1000 * spent, 2)
    return table


def accuracy(n: int) -> dict[str, Any]:
    """Return the reader's accuracy by disturbance and task, n pictures of every kind."""
    return {name: _tally(name, n) for name in DISTURBANCES}


def _tally(name: str, n: int) -> dict[str, Any]:
    right: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    unreadable = 0
    for kind in KINDS:
        for index, scene in enumerate(sample_scenes(kind, n, FIRST_SEED)):
            picture = DISTURBANCES[name](draw(scene, FIRST_SEED + index), index)
            reading = read(picture)
            unreadable += reading.unreadable is not None
            for task, verdict in verdicts(scene, reading).items():
                for label in (task, f"{kind}: {task}"):
                    right[label] += verdict
                    asked[label] += 1
    rows = {label: _row(right[label], asked[label]) for label in asked}
    return {"pictures": n * len(KINDS), "unreadable": unreadable, "tasks": rows}


def _row(right: int, n: int) -> dict[str, float]:
    interval = wilson_interval(right, n)
    return {
        "accuracy": round(right / n, 5),
        "low": round(interval.low, 5),
        "high": round(interval.high, 5),
        "n": n,
    }


def main() -> None:
    """Measure, and write the results with the facts of the machine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1000, help="pictures a kind and disturbance")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/scenes.json"))
    options = parser.parse_args()
    np.seterr(all="raise", under="ignore")
    results = {
        "machine": machine_facts(),
        "rendered_per_cpu_s": rendering_speed(),
        "read_cpu_ms": reading_speed(),
        "reader_accuracy": accuracy(options.n),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
