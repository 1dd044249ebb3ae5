"""The scores of single images in a run folder, held against the plan and against the estimates.

An estimate over single images is the mean of the scores that have a value; scores that give another
mean were edited, or lost.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from dalle2eval.records import ALL, Estimate, InputError, Plan, SampleKey, Score
from reports.files import Row, build, read_rows

COLUMNS = ("arm", "prompt_id", "seed", "metric", "value", "reason", "detail")
ROUNDING = 1e-6  # a sum in another order differs by far less
OVER_TRAININGS = "training-seeds"  # the estimate's method: a comparison has one training's scores

Scores = Mapping[tuple[str, SampleKey], tuple[Score, ...]]


def read_scores(path: Path, plan: Plan) -> Scores:
    """Return every judgement, by (arm, sample).

    Raises:
        InputError: the file is missing or damaged, or has a row twice or one of another plan.
    """
    arms = {arm.name for arm in plan.arms}
    prompts, seeds = {prompt.id for prompt in plan.prompts}, set(plan.seeds)
    scores: dict[tuple[str, SampleKey], dict[str, Score]] = {}
    for row in read_rows(path, COLUMNS):
        score = _score(path, row)
        for name, known in (("arm", arms), ("prompt_id", prompts), ("seed", seeds)):
            if row[name] not in known:
                what = name.removesuffix("_id")
                raise InputError(f"{path}: {what} {row[name]!r} is not in plan.yaml")
        found = scores.setdefault((row["arm"], score.key), {})
        if score.metric in found:
            raise InputError(
                f"{path}: {score.metric} of {row['arm']}, prompt {score.key.prompt_id} seed "
                f"{score.key.seed}, occurs twice"
            )
        found[score.metric] = score
    return {key: tuple(found.values()) for key, found in scores.items()}


def check_means(
    path: Path, scores: Scores, estimates: Mapping[tuple[str, str, str], Estimate]
) -> None:
    """Refuse scores whose mean or number is not that of their estimate over all prompts."""
    values: dict[tuple[str, str], list[float]] = {}
    for (arm, _), some in scores.items():
        for score in some:
            if score.value is not None:
                values.setdefault((arm, score.metric), []).append(score.value)
    for (arm, metric), own in values.items():
        told = estimates.get((arm, metric, ALL))
        if told is None or told.value is None or told.method == OVER_TRAININGS:
            continue
        mean = math.fsum(own) / len(own)
        same = math.isclose(mean, told.value, rel_tol=ROUNDING, abs_tol=ROUNDING)
        if not same or len(own) != told.n:
            raise InputError(
                f"{path}: disagrees with estimates.parquet about {metric} of {arm}: "
                f"{mean:.6g} (n {len(own)}) against {told.value:.6g} (n {told.n}); "
                "one of them was edited"
            )


def _score(path: Path, row: Row) -> Score:
    try:
        detail = json.loads(row["detail"]) if row["detail"] is not None else None
    except (TypeError, ValueError, RecursionError):
        raise InputError(
            f"{path}: damaged, a detail is not JSON: {str(row['detail'])[:60]!r}"
        ) from None
    own = {name: row[name] for name in ("metric", "value", "reason")}
    key = build(path, SampleKey, {"prompt_id": row["prompt_id"], "seed": row["seed"]})
    return build(path, Score, {"key": key, **own, "detail": detail})
