"""How good the bundled weights are, by the exact reader: the numbers of the model card.

    uv run python benchmarks/quality.py --n 200

Held-out prompts (scenes that training never drew) of every kind, drawn at several guidance scales
with and without the prior, and reranked by the stack's own CLIP with ``--candidates 4 16``; real
renders of the same prompts pass the same reader beside them. Every share has a Wilson interval.
Writes benchmarks/results/quality.json and prints a table; called again, it goes on with the rows
that are missing there.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine_facts

from dalle2eval.probes.composition import answers
from dalle2eval.scenes.grammar import Scene, all_scenes, caption, is_held_out
from dalle2eval.scenes.reader import read
from dalle2eval.scenes.renderer import draw
from dalle2eval.statistics.intervals import wilson_interval
from reference_model import load

KINDS = ("single", "count", "two-object", "relation", "word")
BATCH = 16
RESULT = Path(__file__).parent / "results" / "quality.json"


def held_out_scenes(kind: str, n: int) -> list[Scene]:
    """Return n held-out scenes of a kind, repeated in order where there are fewer."""
    pool = [scene for scene in all_scenes(kind) if is_held_out(scene)]
    order = np.random.Generator(np.random.PCG64(0)).permutation(len(pool))
    return list(itertools.islice(itertools.cycle(pool[k] for k in order), n))


def verdicts(scene: Scene, image: np.ndarray) -> dict[str, bool]:
    """Answer the reader's questions about one picture."""
    reading = read(image)
    if scene.kind == "word":
        return {"word": reading.word == scene.word, "readable": reading.unreadable is None}
    asked = answers(scene, reading)
    if scene.kind == "count":
        asked = {"count": asked["count"], f"count of {len(scene.objects)}": asked["count"]}
    return asked


def share(passed: list[bool]) -> dict[str, float | int]:
    """Return a proportion with its Wilson interval."""
    n, interval = len(passed), wilson_interval(sum(passed), len(passed))
    return {"value": sum(passed) / n, "low": interval.low, "high": interval.high, "n": n}


def generated(scenes: list[Scene], settings: dict[str, object]) -> Iterator[np.ndarray]:
    """Draw every scene from the bundled weights; the k-th time a scene comes, with seed k."""
    model, seen = load("scenes"), defaultdict(int)
    keys = []
    for scene in scenes:
        keys.append((caption(scene), seen[caption(scene)]))
        seen[caption(scene)] += 1
    for start in range(0, len(keys), BATCH):
        texts, seeds = zip(*keys[start : start + BATCH], strict=True)
        yield from model.generate(texts, seeds, **settings)


def measure(scenes: list[Scene], images: Iterable[np.ndarray]) -> dict[str, dict[str, float | int]]:
    """Return every question's share of passes."""
    passed: dict[str, list[bool]] = defaultdict(list)
    for scene, image in zip(scenes, images, strict=True):
        for question, answer in verdicts(scene, image).items():
            passed[question].append(answer)
    return {question: share(values) for question, values in passed.items()}


def rows(args: argparse.Namespace, known: set[tuple[str, str]]) -> Iterator[dict[str, object]]:
    """Yield one result for each kind and setting that is not known, real renders first."""
    for kind in args.kinds:
        scenes = held_out_scenes(kind, args.n)
        if (kind, "real renders") not in known:
            real = (draw(scene, 10_000 + k) for k, scene in enumerate(scenes))
            yield {"kind": kind, "arm": "real renders", "shares": measure(scenes, real)}
        choices = itertools.product(args.conditioning, args.scales, args.candidates)
        for conditioning, scale, candidates in choices:
            arm = f"{conditioning}, guidance {scale:g}"
            arm += f", best of {candidates}" if candidates > 1 else ""
            if (kind, arm) in known:
                continue
            started = time.monotonic()
            settings = {
                "conditioning": conditioning,
                "guidance_scale": scale,
                "decoder_candidates": candidates,
            }
            shares = measure(scenes, generated(scenes, settings))
            seconds = round((time.monotonic() - started) / len(scenes), 3)
            yield {"kind": kind, "arm": arm, "shares": shares, "seconds_per_image": seconds}


def begun(out: Path, weights: str, n: int) -> dict[str, Any]:
    """Return what was measured of these weights at this n, or a document without results."""
    document = json.loads(out.read_text()) if out.exists() else {}
    if (document.get("weights"), document.get("n")) == (weights, n):
        return document
    return {"machine": machine_facts(), "weights": weights, "n": n, "results": []}


def main() -> None:
    """Measure, print a table, write JSON after every row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=200, help="prompts of each kind")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS))
    parser.add_argument("--scales", nargs="+", type=float, default=[1.0, 2.0, 3.0, 4.0])
    parser.add_argument("--conditioning", nargs="+", default=["prior"])
    parser.add_argument("--candidates", nargs="+", type=int, default=[1])
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    document = begun(args.out, load("scenes").weights, args.n)
    known = {(row["kind"], row["arm"]) for row in document["results"]}
    for row in rows(args, known):
        document["results"].append(row)
        texts = [
            f"{q} {s['value']:.1%} [{s['low']:.1%}, {s['high']:.1%}]"
            for q, s in row["shares"].items()
        ]
        sys.stdout.write(f"{row['kind']:11} {row['arm']:36} n={args.n}  {'; '.join(texts)}\n")
        sys.stdout.flush()
        # A row takes minutes, so each is written at once.
        args.out.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
