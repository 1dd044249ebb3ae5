"""Scores, estimates and comparisons for the synthetic run: made up, but consistent."""

from __future__ import annotations

import json
import random
from typing import Any

from report_plans import SKILL

from dalle2eval.records import ALL, ArmSpec, Comparison, Estimate, Plan, Prompt


def sample_scores(
    arm: str, prompt: Prompt, seed: int, read: dict[str, Any] | None
) -> list[dict[str, Any]]:
    asked, kind = prompt.facts, prompt.facts["kind"] if prompt.facts else "none"
    key = {"arm": arm, "prompt_id": prompt.id, "seed": seed, "reason": None, "detail": None}
    rng = random.Random(f"{arm}{prompt.id}{seed}")
    rows = [
        {
            **key,
            "metric": "clip_score",
            "value": 0.31 + 0.05 * SKILL.get(arm, (0.9,))[0] + rng.gauss(0, 0.01),
        }
    ]
    if kind == "word":
        detail = json.dumps({"asked": asked["word"], "read": read["word"] if read else ""})
        right = float(bool(read) and read["word"] == asked["word"])
        return rows + [
            {**key, "metric": m, "value": v, "detail": detail}
            for m, v in (
                ("text.exact", right),
                ("text.cer", 1 - right),
                ("text.ned", right),
                ("text.reader_exact", right),
            )
        ]
    names = {
        "single": ("object", "colour"),
        "count": ("count",),
        "two-object": ("binding",),
        "relation": ("relation", "binding"),
    }.get(kind, ())
    detail = json.dumps({"asked": asked, "read": read})
    for name in names:
        row = {
            **key,
            "metric": f"composition.{name}",
            "detail": detail,
            "value": float(read == asked),
        }
        if read is None:
            row.update(value=None, reason="unreadable: shapes touch the border")
        rows.append(row)
    return rows


def arm_estimates(plan: Plan, arm: str, scores: list[dict[str, Any]]) -> list[Estimate]:
    weak = 1 - SKILL.get(arm, (0.9,))[0]
    n = len(plan.prompts) * len(plan.seeds)
    common = {"n": n, "method": "influence", "extractor": "judge-clip@4be1c0d2"}
    found = [
        Estimate(
            metric="fd_scenes",
            value=4 + 30 * weak,
            low=3.7 + 29 * weak,
            high=4.4 + 31.5 * weak,
            higher_is_better=False,
            note="rank-deficient: N < 2d",
            **common,
        ),
        Estimate(
            metric="kid_scenes",
            value=0.012 + weak / 5,
            low=0.01 + weak / 5,
            high=0.015 + weak / 4,
            higher_is_better=False,
            **common,
        ),
        Estimate(
            metric="vendi_scenes",
            value=9 - 4 * weak,
            low=8.4 - 4 * weak,
            high=9.5 - 4 * weak,
            higher_is_better=True,
            **common,
        ),
        Estimate(
            metric="diversity_within_prompt",
            value=None,
            low=None,
            high=None,
            n=0,
            method="cluster-bootstrap",
            higher_is_better=True,
            reason="one seed a prompt has no pairs",
        )
        if arm == "caption-only"
        else Estimate(
            metric="diversity_within_prompt",
            value=0.2 + weak / 9,
            low=0.18 + weak / 9,
            high=0.22 + weak / 9,
            higher_is_better=True,
            **common,
        ),
    ]
    tags = {prompt.id: prompt.tags for prompt in plan.prompts}
    for metric in dict.fromkeys(row["metric"] for row in scores):
        for part in (ALL, *dict.fromkeys(tag for prompt in plan.prompts for tag in prompt.tags)):
            rows = [
                r
                for r in scores
                if r["metric"] == metric and (part == ALL or part in tags[r["prompt_id"]])
            ]
            if rows:
                found.append(_mean(metric, part, rows))
    return found


def _mean(metric: str, part: str, rows: list[dict[str, Any]]) -> Estimate:
    values = [row["value"] for row in rows if row["value"] is not None]
    if not values:
        return Estimate(
            metric=metric,
            value=None,
            low=None,
            high=None,
            n=0,
            method="wilson",
            slice=part,
            higher_is_better=True,
            num_unscored=len(rows),
            reason="no sample could be read",
        )
    mean, half = sum(values) / len(values), 0.6 / len(values) ** 0.5
    share = metric.startswith(("composition", "text"))
    half = half if share else half / 30
    return Estimate(
        metric=metric,
        value=mean,
        low=max(0.0, mean - half),
        high=min(1.0, mean + half) if share else mean + half,
        n=len(values),
        method="wilson" if share else "cluster-bootstrap",
        slice=part,
        higher_is_better=metric != "text.cer",
        num_unscored=len(rows) - len(values),
    )


def compare(arm: ArmSpec, found: dict[tuple[str, str, str], Estimate]) -> list[Comparison]:
    made = []
    for (name, metric, part), ours in found.items():
        theirs = found.get((str(arm.reference), metric, part))
        if name != arm.name or theirs is None or arm.reference is None:
            continue
        common = {
            "arm": name,
            "reference": arm.reference,
            "metric": metric,
            "slice": part,
            "method": "paired-cluster-bootstrap",
        }
        if ours.value is None or theirs.value is None:
            made.append(
                Comparison(
                    difference=None,
                    low=None,
                    high=None,
                    n_pairs=0,
                    verdict="not compared",
                    reason=ours.reason or theirs.reason,
                    **common,
                )
            )
            continue
        difference, half = ours.value - theirs.value, (ours.high - ours.low) / 2.2
        low, high = difference - half, difference + half
        verdict = "no difference found"
        if low > 0 or high < 0:
            verdict = "better" if (low > 0) == ours.higher_is_better else "worse"
        made.append(
            Comparison(
                difference=difference,
                low=low,
                high=high,
                n_pairs=ours.n,
                verdict=verdict,
                p_value=0.002 if verdict != "no difference found" else 0.4,
                **common,
            )
        )
    return made
