"""A synthetic run folder, written to the contract of docs/design/001-run-folder.md without a model.

Coloured shapes drawn by PIL stand for samples; the numbers are made up, but consistent.
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from report_numbers import arm_estimates, compare, sample_scores
from report_plans import RGB, SKILL, a_plan, draw, facts

from dalle2eval.records import Comparison, Estimate, Plan, Prompt, SelfTest, to_json


def spoil(scene: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Return what a weaker model draws: a wrong colour, a lost object, or a misspelt word."""
    if scene["word"]:
        return {**scene, "word": "".join(rng.sample(scene["word"], len(scene["word"]) - 1))}
    objects = [dict(item) for item in scene["objects"]]
    if len(objects) > 1 and rng.random() < 0.5:
        objects.pop()
    else:
        objects[0]["colour"] = rng.choice([c for c in RGB if c != objects[0]["colour"]])
    return {**scene, "objects": objects}


def write_run(folder: Path, plan: Plan | None = None, *, pictures: bool = True) -> Path:
    """Write a finished run folder, as the runner would; ``pictures=False``: nothing was made."""
    plan = plan or a_plan()
    folder.mkdir(parents=True, exist_ok=True)
    scores: list[dict[str, Any]] = []
    gallery: list[dict[str, Any]] = []
    if pictures:
        for arm in plan.arms:
            for prompt in plan.prompts:
                for seed in plan.seeds:
                    _make_sample(folder, (arm.name, prompt, seed), scores, gallery)
    found = {
        (arm.name, e.metric, e.slice): e
        for arm in plan.arms
        for e in (
            arm_estimates(plan, arm.name, [r for r in scores if r["arm"] == arm.name])
            if pictures
            else []
        )
    }
    comparisons = [c for arm in plan.arms for c in compare(arm, found)]
    _write_tables(folder, plan, scores, found, comparisons)
    _write_summary(folder, plan, found, comparisons, gallery)
    return folder


def _make_sample(
    folder: Path, sample: tuple[str, Prompt, int], scores: list, gallery: list
) -> None:
    arm, prompt, seed = sample
    rng = random.Random(f"{prompt.id}{seed}{arm}")
    kind = prompt.facts["kind"] if prompt.facts else "none"
    skill = SKILL.get(arm, (0.9, 0.9, 0.9))[
        {"word": 2, "two-object": 1, "relation": 1}.get(kind, 0)
    ]
    scene = prompt.facts or facts("single", "red circle")
    drawn = scene if rng.random() < skill else spoil(scene, rng)
    read = None if prompt.facts is None or rng.random() < 0.03 else drawn
    scores.extend(sample_scores(arm, prompt, seed, read))
    index = int(prompt.id.rsplit("-", 1)[-1]) if prompt.id.rsplit("-", 1)[-1].isdigit() else 1
    sizes = [64] + [256] * (kind == "word") + [1024] * (seed == 0 and index in (0, 4, 6, 8))
    for size in sizes:
        safe = "".join(
            c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in f"{prompt.id[:40]}"
        )
        place = (
            Path("samples")
            / "".join(c if c.isalnum() or c == "-" else "_" for c in arm)
            / str(size)
            / f"{safe}-{seed}.png"
        )
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        draw(drawn, size, seed).save(folder / place)
        gallery.append(
            {
                "arm": arm,
                "prompt_id": prompt.id,
                "seed": seed,
                "size": size,
                "path": place.as_posix(),
            }
        )


def _write_tables(folder: Path, plan: Plan, scores: list, found: dict, comparisons: list) -> None:
    (folder / "plan.yaml").write_text(
        yaml.safe_dump(to_json(plan), allow_unicode=True, sort_keys=False), "utf-8"
    )
    _parquet(
        folder / "scores.parquet",
        scores,
        ["arm", "prompt_id", "seed", "metric", "value", "reason", "detail"],
    )
    _parquet(
        folder / "estimates.parquet",
        [{"arm": arm, **asdict(e)} for (arm, _, _), e in found.items()],
        ["arm", *Estimate.__dataclass_fields__],
    )
    _parquet(
        folder / "comparisons.parquet",
        [asdict(c) for c in comparisons],
        list(Comparison.__dataclass_fields__),
    )


def _parquet(path: Path, rows: list[dict[str, Any]], columns: list[str]) -> None:
    frame = pd.DataFrame(rows, columns=columns).convert_dtypes()
    frame.to_parquet(path, index=False)


def _write_summary(folder: Path, plan: Plan, found: dict, comparisons: list, gallery: list) -> None:
    n = len(plan.prompts) * len(plan.seeds) if gallery else 0
    stage = {"cached": 0, "images": n * len(plan.arms)}
    summary = {
        "schema_version": 1,
        "suite": plan.suite,
        "question": plan.question,
        "finding": plan.finding,
        "fingerprint": plan.fingerprint,
        "primary_metric": plan.primary_metric,
        "arms": [to_json(arm) for arm in plan.arms],
        "estimates": [{"arm": arm, **to_json(e)} for (arm, _, _), e in found.items()],
        "comparisons": [to_json(c) for c in comparisons],
        "self_tests": [
            to_json(
                SelfTest(
                    judge="scene reader",
                    task=task,
                    accuracy=accuracy,
                    low=accuracy - 0.01,
                    high=min(1.0, accuracy + 0.004),
                    n=400,
                    floor=0.99,
                )
            )
            for task, accuracy in (("colour", 1.0), ("shape", 0.9975), ("count", 0.985))
        ],
        "counts": {
            arm.name: {"asked": n, "made": n, "scored": max(0, n - 1), "unscored": min(n, 1)}
            for arm in plan.arms
        },
        "cost": {
            "total_s": 271.4,
            "peak_memory_mb": 1840.0,
            "stages": {
                "prior": {**stage, "units": 6, "forward_passes": 512, "seconds": 12.4},
                "decoder": {
                    **stage,
                    "units": 18,
                    "cached": 2,
                    "forward_passes": 7680,
                    "seconds": 201.9,
                },
                "upsampler_256": {
                    "units": 3,
                    "cached": 0,
                    "images": 24,
                    "forward_passes": 384,
                    "seconds": 31.0,
                },
            },
        },
        "gallery": gallery,
        "notes": [
            "The judge CLIP and the generator were trained on renders of the same procedural world."
        ],
    }
    (folder / "summary.json").write_text(json.dumps(summary, indent=1), "utf-8")
    environment = {
        "git": {"commit": "4be1c0d29f0b3c0a8d2f1a7e5b6c7d8e9f0a1b2c", "dirty": False},
        "argv": ["dalle2eval", "run", "quick"],
        "python": "3.11.7",
        "os": "Linux-6.1",
        "cpu": "x86_64",
        "cores": 2,
        "gpu": None,
        "packages": {"torch": "2.15.0", "numpy": "2.1.0"},
        "weights": {"decoder": "9f" * 32, "prior": "3a" * 32, "judge": "4b" * 32},
    }
    (folder / "environment.json").write_text(json.dumps(environment), "utf-8")
    (folder / "events.jsonl").write_text(
        '{"time": "2026-01-01T00:00:00Z", "event": "start"}\n', "utf-8"
    )
