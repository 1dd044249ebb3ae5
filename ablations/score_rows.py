"""Scores as rows of plain data, and back: the form in which they lie in the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dalle2eval.records import Contribution, SampleKey, Score


def score_row(score: Score) -> dict[str, Any]:
    """Return a score as plain JSON data."""
    return {
        "prompt_id": score.key.prompt_id,
        "seed": score.key.seed,
        "metric": score.metric,
        "value": score.value,
        "reason": score.reason,
        "detail": None if score.detail is None else dict(score.detail),
    }


def contribution_row(contribution: Contribution) -> dict[str, Any]:
    """Return a contribution as plain JSON data."""
    return {
        "prompt_id": contribution.key.prompt_id,
        "seed": contribution.key.seed,
        "metric": contribution.metric,
        "value": contribution.value,
    }


def score_from_row(row: Mapping[str, Any]) -> Score:
    """Rebuild a score from its row."""
    return Score(
        key=SampleKey(prompt_id=row["prompt_id"], seed=row["seed"]),
        metric=row["metric"],
        value=row["value"],
        reason=row["reason"],
        detail=row["detail"],
    )
