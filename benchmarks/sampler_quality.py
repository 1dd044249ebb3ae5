"""What every sampler draws for how many network calls, by the exact reader.

    uv run python benchmarks/sampler_quality.py --n 20

The bundled decoder draws held-out prompts of every kind with each sampler that it can run, at its
own guidance and spacing, from the same z_i and the same noise; the yardstick is DDIM with 250
calls. A picture is right when every question about it is answered right. Writes
benchmarks/results/sampler_quality.json and a table in sampler_quality.md.

The standard error is that of the yardstick's share of right pictures. A difference is taken picture
by picture and has a standard error of its own, which is smaller where samplers agree.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine_facts
from numpy.typing import NDArray
from quality import KINDS, held_out_scenes, verdicts

from dalle2eval.allocator import keep_freed_memory
from dalle2eval.scenes.grammar import Scene, caption
from reference_model import DALLE2, load
from reference_model.settings import SETTINGS

BATCH = 16
YARDSTICK = ("ddim", 250)
CALLS = (5, 7, 9, 11, 13, 15, 21, 25, 51)
RESULT = Path(__file__).parent / "results" / "sampler_quality.json"
Right = NDArray[np.bool_]


def steps_of(sampler: str, calls: int) -> int | None:
    """Return the steps that make so many calls, None where none does."""
    if sampler != "heun":
        return calls
    return (calls + 1) // 2 if calls % 2 else None


def runnable(model: DALLE2, sampler: str) -> bool:
    """Tell whether these weights can be sampled so (a learned variance has to be learned)."""
    changes = {"decoder_sampler": sampler, "decoder_steps": 5}
    try:
        model.plan_stages(model.resolve_settings(changes))
    except ValueError:
        return False
    return True


class Asked:
    """The prompts, their noise and their z_i, which are the same for every sampler."""

    def __init__(self, model: DALLE2, n: int, kinds: Sequence[str]) -> None:
        self.model = model
        self.scenes = [scene for kind in kinds for scene in held_out_scenes(kind, n)]
        seen: dict[str, int] = {}
        self.keys: list[tuple[str, int]] = []
        for scene in self.scenes:
            text = caption(scene)
            seen[text] = seen.get(text, -1) + 1
            self.keys.append((text, seen[text]))
        stage = model.plan_stages(model.resolve_settings({}))[0]
        self.z_i = np.concatenate(
            [model.run_stage(stage, self._prompts(s), self.keys[s], None) for s in self._shards()]
        )

    def right(self, settings: dict[str, Any]) -> Right:
        """Draw every prompt and return which pictures are right."""
        stage = self.model.plan_stages(self.model.resolve_settings(settings))[1]
        answers = []
        for s in self._shards():
            images = self.model.run_stage(stage, self._prompts(s), self.keys[s], self.z_i[s])
            answers += [
                is_right(scene, image) for scene, image in zip(self.scenes[s], images, strict=True)
            ]
        return np.array(answers)

    def _shards(self) -> list[slice]:
        return [slice(k, k + BATCH) for k in range(0, len(self.keys), BATCH)]

    def _prompts(self, shard: slice) -> list[str]:
        return [text for text, _ in self.keys[shard]]


def is_right(scene: Scene, image: NDArray[np.uint8]) -> bool:
    """Tell whether every question about a picture is answered right."""
    return all(verdicts(scene, image).values())


def measured(asked: Asked, sampler: str, calls: int, yardstick: Right | None) -> dict[str, Any]:
    """Return a sampler's share of right pictures, beside the yardstick's where there is one."""
    started = time.monotonic()
    settings = {"decoder_sampler": sampler, "decoder_steps": steps_of(sampler, calls)}
    right = asked.right(settings)
    seconds = (time.monotonic() - started) / len(right)
    row: dict[str, Any] = {
        "sampler": sampler,
        "calls": calls,
        "right": float(right.mean()),
        "standard_error": standard_error(right.astype(float)),
        "seconds_per_picture": round(seconds, 4),
        "by_kind": shares_by_kind(asked.scenes, right),
    }
    if yardstick is not None:
        change = right.astype(float) - yardstick
        row["difference"] = float(change.mean())
        row["standard_error_of_the_difference"] = standard_error(change)
    row["pictures"] = right
    return row


def standard_error(values: NDArray[np.float64]) -> float:
    """Return the standard error of a mean."""
    return float(values.std(ddof=1) / math.sqrt(len(values)))


def shares_by_kind(scenes: Sequence[Scene], right: Right) -> dict[str, float]:
    """Return the share of right pictures of each kind of scene."""
    kinds = np.array([scene.kind for scene in scenes])
    return {kind: float(right[kinds == kind].mean()) for kind in dict.fromkeys(kinds.tolist())}


def rows(asked: Asked, samplers: Sequence[str], calls: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yield the yardstick, then every sampler at every number of calls that it can make."""
    yardstick = measured(asked, *YARDSTICK, None)
    right = yardstick.pop("pictures")
    yield yardstick
    for sampler in samplers:
        for number in calls:
            if steps_of(sampler, number) is not None:
                row = measured(asked, sampler, number, right)
                del row["pictures"]
                yield row


def fewest_calls(results: Sequence[dict[str, Any]]) -> dict[str, int | None]:
    """Return for each sampler the calls from which on it stays within one standard error.

    Not the first number that happens to be: every larger one that was measured has to be, too.
    """
    yardstick, *others = results
    lowest = yardstick["right"] - yardstick["standard_error"]
    found: dict[str, int | None] = {row["sampler"]: None for row in others}
    for sampler in found:
        own = sorted((r["calls"], r["right"]) for r in others if r["sampler"] == sampler)
        for calls, right in reversed(own):
            if right < lowest:
                break
            found[sampler] = calls
    return found


def table(results: Sequence[dict[str, Any]], n: int) -> str:
    """Return the shares as a Markdown table, a sampler a row and a number of calls a column."""
    yardstick, *others = results
    calls = sorted({row["calls"] for row in others})
    lines = [
        f"Share of right pictures, {n} held-out prompts; {YARDSTICK[0]} with {YARDSTICK[1]} calls: "
        f"{yardstick['right']:.1%} ± {yardstick['standard_error']:.1%} (standard error).",
        "",
        f"| sampler | {' | '.join(map(str, calls))} | within one error from |",
        f"|---|{'---|' * (len(calls) + 1)}",
    ]
    fewest = fewest_calls(results)
    for sampler in dict.fromkeys(row["sampler"] for row in others):
        shares = {
            row["calls"]: f"{row['right']:.1%}" for row in others if row["sampler"] == sampler
        }
        cells = " | ".join(shares.get(number, "") for number in calls)
        lines.append(f"| {sampler} | {cells} | {fewest[sampler] or 'none'} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print as it goes, write JSON and the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=20, help="prompts of each kind")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS))
    parser.add_argument("--calls", nargs="+", type=int, default=list(CALLS))
    parser.add_argument("--weights", default="scenes")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    keep_freed_memory()
    model = load(args.weights, device="cpu")
    asked = Asked(model, args.n, args.kinds)
    samplers = [s for s in SETTINGS["decoder_sampler"].allowed if runnable(model, s)]
    results = []
    for row in rows(asked, samplers, args.calls):
        results.append(row)
        sys.stdout.write(f"{row['sampler']:16} {row['calls']:4} calls  {row['right']:.1%}\n")
        sys.stdout.flush()
    document = {
        "machine": machine_facts(),
        "weights": model.weights,
        "prompts": len(asked.scenes),
        "kinds": args.kinds,
        "fewest_calls_within_one_standard_error": fewest_calls(results),
        "results": results,
    }
    args.out.parent.mkdir(exist_ok=True)
    args.out.write_text(json.dumps(document, indent=1) + "\n")
    args.out.with_suffix(".md").write_text(table(results, len(asked.scenes)))
    sys.stdout.write(table(results, len(asked.scenes)))


if __name__ == "__main__":
    main()
