"""What varied by training and what by sample, arm by arm: one table a metric."""

from __future__ import annotations

import math
from dataclasses import dataclass

from reports.number_text import NumberStyle, style_for
from reports.run_record import RunRecord, TrainedNumber
from reports.wording import wording

SAYS = (
    "Standard deviation over training seeds: how much trainings of one arm differ, without what "
    "samples bring. Over samples: how much one training's value would differ with other prompts "
    "and seeds."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingTable:
    """Arms in rows; ``columns`` name the cells behind the arm's name."""

    metric: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def training_tables(run: RunRecord) -> tuple[TrainingTable, ...]:
    """Return a table for each metric that has a value; none where nothing was trained."""
    if run.trainings is None:
        return ()
    known = run.trainings.arms
    by_metric = {
        metric: {arm: row for arm, rows in known.items() for row in rows if row.metric == metric}
        for metric in run.metrics
    }
    return tuple(
        _table(run, metric, rows)
        for metric, rows in by_metric.items()
        if any(row.mean is not None for row in rows.values())
    )


def _table(run: RunRecord, metric: str, rows: dict[str, TrainedNumber]) -> TrainingTable:
    trainings, style = run.trainings, style_for(run, metric)
    seeds = trainings.seeds if trainings is not None else ()
    return TrainingTable(
        metric=metric,
        title=wording(metric).title,
        columns=(
            "mean",
            "deviation over training seeds",
            "deviation over samples",
            *(f"seed {seed}" for seed in seeds),
        ),
        rows=tuple((arm, *_cells(row, style)) for arm, row in rows.items()),
    )


def _cells(row: TrainedNumber, style: NumberStyle) -> list[str]:
    deviations = (row.variance_over_training_seeds, row.variance_over_samples)
    numbers = [row.mean, *(None if v is None else math.sqrt(v) for v in deviations), *row.values]
    return ["not known" if n is None else style.value(n) for n in numbers]
