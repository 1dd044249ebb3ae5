"""A synthetic run folder, written to the contract of docs/design/001-run-folder.md without any model.

Coloured shapes drawn by PIL stand for samples; the numbers are made up, but consistent with each other.
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from PIL import Image, ImageDraw, ImageFont

from dalle2eval.records import ALL, ArmSpec, Comparison, Estimate, Plan, Prompt, SelfTest, to_json

RGB = {
    "red": (220, 40, 40), "green": (40, 165, 65), "blue": (50, 85, 230), "yellow": (245, 215, 45),
    "purple": (150, 60, 190), "orange": (245, 135, 25), "cyan": (55, 205, 225), "white": (245, 245, 245),
}  # fmt: skip
SKILL = {  # how often an arm draws what was asked: (single shapes, two objects, words)
    "prior": (0.97, 0.8, 0.7), "prior-eps": (0.96, 0.78, 0.7), "text-embedding": (0.8, 0.45, 0.3),
    "caption-only": (0.95, 0.7, 0.7), "guidance-1": (0.7, 0.3, 0.2), "guidance-4": (0.98, 0.8, 0.6),
}  # fmt: skip
CHANGES: dict[str, dict[str, Any]] = {
    "prior": {}, "prior-eps": {"prior_target": "eps"}, "text-embedding": {"conditioning": "text-embedding"},
    "caption-only": {"conditioning": "caption-only"}, "guidance-1": {"guidance_scale": 1.0},
    "guidance-4": {"guidance_scale": 4.0},
}  # fmt: skip
MODEL = {"conditioning": "prior", "prior_target": "x0", "guidance_scale": 3.0, "decoder_steps": 20}


def an_object(text: str) -> dict[str, Any]:
    colour, shape = text.split()
    return {"shape": shape, "colour": colour, "size": None}


def facts(kind: str, *objects: str, relation: str | None = None, word: str | None = None) -> dict[str, Any]:
    return {
        "kind": kind, "objects": [an_object(item) for item in objects], "counted": kind == "count",
        "relation": relation, "word": word, "word_colour": "red" if word else None,
    }  # fmt: skip


def a_plan(**changes: Any) -> Plan:
    prompts = (
        ("a red circle", "single", facts("single", "red circle")),
        ("a yellow star", "single", facts("single", "yellow star")),
        ("a purple ring", "single", facts("single", "purple ring")),
        ("a picture of a cyan square", "single", facts("single", "cyan square")),
        ("three green triangles", "count", facts("count", *["green triangle"] * 3)),
        ("four orange circles", "count", facts("count", *["orange circle"] * 4)),
        ("a blue square and a white circle", "two-object", facts("two-object", "blue square", "white circle")),
        ("a red triangle and a cyan ring", "two-object", facts("two-object", "red triangle", "cyan ring")),
        ("a green circle left of a purple square", "relation",
         facts("relation", "green circle", "purple square", relation="left of")),
        ("an orange star above a blue circle", "relation",
         facts("relation", "orange star", "blue circle", relation="above")),
        ('the word "CAT" in red', "word", facts("word", word="CAT")),
        ('the word "RIVER" in red', "word", facts("word", word="RIVER")),
    )  # fmt: skip
    fields: dict[str, Any] = {
        "suite": "quick",
        "question": "What does the prior buy, and what do its target and the guidance do?",
        "finding": {
            "says": "a stack with a prior has the lower FID: 7.99 against 16.55",
            "source": "arXiv 2204.06125 §5.1",
            "expect": "fd_scenes: text-embedding worse than prior",
        },
        "model": {"name": "scenes"},
        "arms": tuple(
            ArmSpec(
                name=name,
                reference=None if name == "prior" else "prior",
                changes=change,
                settings={**MODEL, **change},
            )
            for name, change in CHANGES.items()
        ),
        "prompts": tuple(
            Prompt(id=f"{kind}-{i}", text=text, tags=(kind, "held-out" if i % 4 == 3 else "seen"), facts=fact)
            for i, (text, kind, fact) in enumerate(prompts)
        ),
        "seeds": (0, 1),
        "metrics": ("fd_scenes", "kid_scenes", "clip_score", "vendi_scenes", "diversity_within_prompt"),
        "probes": ("composition", "text-rendering"),
        "primary_metric": "fd_scenes",
    }
    return Plan(**{**fields, **changes})


def draw(scene: dict[str, Any], size: int, seed: int) -> Image.Image:
    """Draw facts four times too large and shrink, which antialiases."""
    big, rng = size * 4, random.Random(str(scene) + str(seed))
    picture = Image.new("RGB", (big, big), rng.choice([(14, 14, 18), (46, 46, 50), (18, 24, 62), (44, 34, 30)]))
    pen = ImageDraw.Draw(picture)
    if scene["word"]:
        pen.text((big / 2, big / 2), scene["word"], RGB["red"], ImageFont.load_default(big / 4), anchor="mm")
    for i, item in enumerate(scene["objects"]):
        n = len(scene["objects"])
        cx = big * ((i % 2) * 0.46 + 0.27 if n > 1 else 0.5)
        cy = big * ((i // 2) * 0.46 + 0.27 if n > 2 else 0.5)
        _draw_shape(pen, item, cx + rng.uniform(-0.05, 0.05) * big, cy, big * (0.17 if n > 1 else 0.27))
    return picture.resize((size, size), Image.Resampling.LANCZOS)


def _draw_shape(pen: ImageDraw.ImageDraw, item: dict[str, Any], x: float, y: float, r: float) -> None:
    colour, box = RGB[item["colour"]], (x - r, y - r, x + r, y + r)
    if item["shape"] == "circle":
        pen.ellipse(box, fill=colour)
    elif item["shape"] == "ring":
        pen.ellipse(box, outline=colour, width=int(r * 0.4))
    else:
        sides = {"square": 4, "triangle": 3, "star": 5, "cross": 4}[item["shape"]]
        pen.regular_polygon((x, y, r), sides, fill=colour)


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


def _scores(arm: str, prompt: Prompt, seed: int, read: dict[str, Any] | None) -> list[dict[str, Any]]:
    asked, kind = prompt.facts, prompt.facts["kind"] if prompt.facts else "none"
    key = {"arm": arm, "prompt_id": prompt.id, "seed": seed, "reason": None, "detail": None}
    rng = random.Random(f"{arm}{prompt.id}{seed}")
    rows = [{**key, "metric": "clip_score", "value": 0.31 + 0.05 * SKILL.get(arm, (0.9,))[0] + rng.gauss(0, 0.01)}]
    if kind == "word":
        detail = json.dumps({"asked": asked["word"], "read": read["word"] if read else ""})
        right = float(bool(read) and read["word"] == asked["word"])
        return rows + [
            {**key, "metric": m, "value": v, "detail": detail}
            for m, v in (("text.exact", right), ("text.cer", 1 - right), ("text.ned", right), ("text.reader_exact", right))
        ]
    names = {"single": ("object", "colour"), "count": ("count",), "two-object": ("binding",),
             "relation": ("relation", "binding")}.get(kind, ())  # fmt: skip
    detail = json.dumps({"asked": asked, "read": read})
    for name in names:
        row = {**key, "metric": f"composition.{name}", "detail": detail, "value": float(read == asked)}
        if read is None:
            row.update(value=None, reason="unreadable: shapes touch the border")
        rows.append(row)
    return rows


def _estimates(plan: Plan, arm: str, scores: list[dict[str, Any]]) -> list[Estimate]:
    weak = 1 - SKILL.get(arm, (0.9,))[0]
    n = len(plan.prompts) * len(plan.seeds)
    common = {"n": n, "method": "influence", "extractor": "judge-clip@4be1c0d2"}
    found = [
        Estimate(metric="fd_scenes", value=4 + 30 * weak, low=3.7 + 29 * weak, high=4.4 + 31.5 * weak,
                 higher_is_better=False, note="rank-deficient: N < 2d", **common),
        Estimate(metric="kid_scenes", value=0.012 + weak / 5, low=0.01 + weak / 5, high=0.015 + weak / 4,
                 higher_is_better=False, **common),
        Estimate(metric="vendi_scenes", value=9 - 4 * weak, low=8.4 - 4 * weak, high=9.5 - 4 * weak,
                 higher_is_better=True, **common),
        Estimate(metric="diversity_within_prompt", value=None, low=None, high=None, n=0, method="cluster-bootstrap",
                 higher_is_better=True, reason="one seed a prompt has no pairs")
        if arm == "caption-only" else
        Estimate(metric="diversity_within_prompt", value=0.2 + weak / 9, low=0.18 + weak / 9, high=0.22 + weak / 9,
                 higher_is_better=True, **common),
    ]  # fmt: skip
    tags = {prompt.id: prompt.tags for prompt in plan.prompts}
    for metric in dict.fromkeys(row["metric"] for row in scores):
        for part in (ALL, *dict.fromkeys(tag for prompt in plan.prompts for tag in prompt.tags)):
            rows = [r for r in scores if r["metric"] == metric and (part == ALL or part in tags[r["prompt_id"]])]
            if rows:
                found.append(_mean(metric, part, rows))
    return found


def _mean(metric: str, part: str, rows: list[dict[str, Any]]) -> Estimate:
    values = [row["value"] for row in rows if row["value"] is not None]
    if not values:
        return Estimate(metric=metric, value=None, low=None, high=None, n=0, method="wilson", slice=part,
                        higher_is_better=True, num_unscored=len(rows), reason="no sample could be read")  # fmt: skip
    mean, half = sum(values) / len(values), 0.6 / len(values) ** 0.5
    share = metric.startswith(("composition", "text"))
    half = half if share else half / 30
    return Estimate(
        metric=metric, value=mean, low=max(0.0, mean - half), high=min(1.0, mean + half) if share else mean + half,
        n=len(values), method="wilson" if share else "cluster-bootstrap", slice=part,
        higher_is_better=metric != "text.cer", num_unscored=len(rows) - len(values),
    )  # fmt: skip


def _compare(arm: ArmSpec, found: dict[tuple[str, str, str], Estimate]) -> list[Comparison]:
    made = []
    for (name, metric, part), ours in found.items():
        theirs = found.get((str(arm.reference), metric, part))
        if name != arm.name or theirs is None or arm.reference is None:
            continue
        common = {"arm": name, "reference": arm.reference, "metric": metric, "slice": part, "method": "paired-cluster-bootstrap"}
        if ours.value is None or theirs.value is None:
            made.append(Comparison(difference=None, low=None, high=None, n_pairs=0, verdict="not compared",
                                   reason=ours.reason or theirs.reason, **common))  # fmt: skip
            continue
        difference, half = ours.value - theirs.value, (ours.high - ours.low) / 2.2
        low, high = difference - half, difference + half
        verdict = "no difference found"
        if low > 0 or high < 0:
            verdict = "better" if (low > 0) == ours.higher_is_better else "worse"
        made.append(Comparison(difference=difference, low=low, high=high, n_pairs=ours.n, verdict=verdict,
                               p_value=0.002 if verdict != "no difference found" else 0.4, **common))  # fmt: skip
    return made


def write_run(folder: Path, plan: Plan | None = None, *, pictures: bool = True) -> Path:
    """Write a finished run folder for a plan, as the runner would; with ``pictures=False`` nothing was made."""
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
        for e in (_estimates(plan, arm.name, [r for r in scores if r["arm"] == arm.name]) if pictures else [])
    }
    comparisons = [c for arm in plan.arms for c in _compare(arm, found)]
    _write_tables(folder, plan, scores, found, comparisons)
    _write_summary(folder, plan, found, comparisons, gallery)
    return folder


def _make_sample(folder: Path, sample: tuple[str, Prompt, int], scores: list, gallery: list) -> None:
    arm, prompt, seed = sample
    rng = random.Random(f"{prompt.id}{seed}{arm}")
    kind = prompt.facts["kind"] if prompt.facts else "none"
    skill = SKILL.get(arm, (0.9, 0.9, 0.9))[{"word": 2, "two-object": 1, "relation": 1}.get(kind, 0)]
    scene = prompt.facts or facts("single", "red circle")
    drawn = scene if rng.random() < skill else spoil(scene, rng)
    read = None if prompt.facts is None or rng.random() < 0.03 else drawn
    scores.extend(_scores(arm, prompt, seed, read))
    index = int(prompt.id.rsplit("-", 1)[-1]) if prompt.id.rsplit("-", 1)[-1].isdigit() else 1
    sizes = [64] + [256] * (kind == "word") + [1024] * (seed == 0 and index in (0, 4, 6, 8))
    for size in sizes:
        safe = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in f"{prompt.id[:40]}")
        place = Path("samples") / "".join(c if c.isalnum() or c == "-" else "_" for c in arm) / str(size) / f"{safe}-{seed}.png"
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        draw(drawn, size, seed).save(folder / place)
        gallery.append({"arm": arm, "prompt_id": prompt.id, "seed": seed, "size": size, "path": place.as_posix()})


def _write_tables(folder: Path, plan: Plan, scores: list, found: dict, comparisons: list) -> None:
    (folder / "plan.yaml").write_text(yaml.safe_dump(to_json(plan), allow_unicode=True, sort_keys=False), "utf-8")
    _parquet(folder / "scores.parquet", scores,
             ["arm", "prompt_id", "seed", "metric", "value", "reason", "detail"])  # fmt: skip
    _parquet(folder / "estimates.parquet", [{"arm": arm, **asdict(e)} for (arm, _, _), e in found.items()],
             ["arm", *Estimate.__dataclass_fields__])  # fmt: skip
    _parquet(folder / "comparisons.parquet", [asdict(c) for c in comparisons], list(Comparison.__dataclass_fields__))


def _parquet(path: Path, rows: list[dict[str, Any]], columns: list[str]) -> None:
    frame = pd.DataFrame(rows, columns=columns).convert_dtypes()
    frame.to_parquet(path, index=False)


def _write_summary(folder: Path, plan: Plan, found: dict, comparisons: list, gallery: list) -> None:
    n = len(plan.prompts) * len(plan.seeds) if gallery else 0
    stage = {"cached": 0, "images": n * len(plan.arms)}
    summary = {
        "schema_version": 1, "suite": plan.suite, "question": plan.question, "finding": plan.finding,
        "fingerprint": plan.fingerprint, "primary_metric": plan.primary_metric,
        "arms": [to_json(arm) for arm in plan.arms],
        "estimates": [{"arm": arm, **to_json(e)} for (arm, _, _), e in found.items()],
        "comparisons": [to_json(c) for c in comparisons],
        "self_tests": [to_json(SelfTest(judge="scene reader", task=task, accuracy=accuracy, low=accuracy - 0.01,
                                        high=min(1.0, accuracy + 0.004), n=400, floor=0.99))
                       for task, accuracy in (("colour", 1.0), ("shape", 0.9975), ("count", 0.985))],
        "counts": {arm.name: {"asked": n, "made": n, "scored": max(0, n - 1), "unscored": min(n, 1)} for arm in plan.arms},
        "cost": {"total_s": 271.4, "peak_memory_mb": 1840.0, "stages": {
            "prior": {**stage, "units": 6, "forward_passes": 512, "seconds": 12.4},
            "decoder": {**stage, "units": 18, "cached": 2, "forward_passes": 7680, "seconds": 201.9},
            "upsampler_256": {"units": 3, "cached": 0, "images": 24, "forward_passes": 384, "seconds": 31.0}}},
        "gallery": gallery,
        "notes": ["The judge CLIP and the generator were trained on renders of the same procedural world."],
    }  # fmt: skip
    (folder / "summary.json").write_text(json.dumps(summary, indent=1), "utf-8")
    environment = {
        "git": {"commit": "4be1c0d29f0b3c0a8d2f1a7e5b6c7d8e9f0a1b2c", "dirty": False},
        "argv": ["dalle2eval", "run", "quick"], "python": "3.11.7", "os": "Linux-6.1", "cpu": "x86_64", "cores": 2,
        "gpu": None, "packages": {"torch": "2.15.0", "numpy": "2.1.0"},
        "weights": {"decoder": "9f" * 32, "prior": "3a" * 32, "judge": "4b" * 32},
    }  # fmt: skip
    (folder / "environment.json").write_text(json.dumps(environment), "utf-8")
    (folder / "events.jsonl").write_text('{"time": "2026-01-01T00:00:00Z", "event": "start"}\n', "utf-8")
