"""`compare`: read both sides, refuse what cannot be compared, write the comparison's folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablations.run_folder import (
    COMPARISONS,
    CONTRIBUTIONS,
    ESTIMATES,
    SCORES,
    check_same_plan,
    score_columns,
    write_json,
    write_plan,
    write_table,
)
from dalle2eval.comparing import joining
from dalle2eval.comparing.matching import Shared, match
from dalle2eval.comparing.numbers import (
    Evidence,
    comparisons_of,
    corrected,
    estimates_of,
    gather,
    shared_metrics,
)
from dalle2eval.comparing.sides import ArmPair, Side, pair_arms, read_side
from dalle2eval.records import ALL, Comparison, NotComparable, Plan, to_json
from dalle2eval.store import check_writable, copy_atomic
from reports.flips import flips_json
from reports.reading import read_run
from reports.rendering import render

FORMATS = ("html", "md", "csv", "tex")
CORRECTION = (
    "P-values and verdicts are corrected for the number of arms and metrics (Benjamini and "
    "Hochberg); the intervals are not."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Joint:
    a: Evidence
    b: Evidence
    pairs: tuple[ArmPair, ...]
    shared: Shared
    metrics: tuple[str, ...]
    comparisons: tuple[Comparison, ...]

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.a.side, self.b.side

    @property
    def arms(self) -> list[tuple[Evidence, str]]:
        """Return every arm with its side, in the order of the plan."""
        return [arm for pair in self.pairs for arm in ((self.a, pair.a), (self.b, pair.b))]


def compare(a: str | Path, b: str | Path, *, out: str | Path | None = None) -> Path:
    """Compare two finished runs, or single arms of them (``RUN:ARM``), and return the new folder.

    Every difference is B minus A, over the prompts and seeds that both have. The folder holds
    report.html, summary.md, summary.json (with the flips), summary.csv, summary.tex and the tables
    of a run folder; ``dalle2eval report`` renders it again.

    Args:
        a: what B is held against.
        b: the run or arm in question.
        out: the folder to write; ``runs/compare-<time>-<short fingerprint>`` when None.

    Raises:
        InputError: a run is missing, damaged or unfinished, an arm is unknown, or ``out`` is taken.
        NotComparable: other prompts, seeds, resolution or judges; one line says which.
    """
    first, second = read_side("A", a), read_side("B", b)
    pairs = pair_arms(first, second)
    shared = match(first, second, pairs)
    metrics, missing = shared_metrics(first, second)
    if not metrics:
        raise NotComparable("A and B have no metric in common")
    joint = _compared(gather(first, shared), gather(second, shared), pairs, shared, metrics)
    plan = joining.joint_plan(first, second, pairs=pairs, shared=shared, metrics=metrics)
    folder = Path(out) if out is not None else _new_folder(plan)
    _write(folder, plan, joint, [*_notes(joint), *_metrics_left_out(missing)])
    return folder


def _compared(
    a: Evidence, b: Evidence, pairs: tuple[ArmPair, ...], shared: Shared, metrics: tuple[str, ...]
) -> _Joint:
    rows = [
        row
        for pair in pairs
        for metric in metrics
        for row in comparisons_of(a, b, pair, metric, shared)
    ]
    if all(row.difference is None for row in rows):
        raise NotComparable(f"{rows[0].metric}: {rows[0].reason}; no other metric is left either")
    return _Joint(
        a=a, b=b, pairs=pairs, shared=shared, metrics=metrics, comparisons=tuple(corrected(rows))
    )


def _notes(joint: _Joint) -> list[str]:
    sides = joint.sides
    lost: dict[str, list[str]] = {}
    for row in joint.comparisons:
        if row.difference is None and row.slice == ALL:
            lost.setdefault(str(row.reason), []).append(f"{row.metric} of {row.arm}")
    unknown = [f"Not compared: {', '.join(names)} ({reason})." for reason, names in lost.items()]
    told = joining.differences(*sides)
    return [CORRECTION, *joint.shared.left_out, *unknown, *told, *_own_notes(sides)]


def _own_notes(sides: Sequence[Side]) -> list[str]:
    """Return the runs' own cautions, each with the side that it is about, or once for both."""
    every = dict.fromkeys(note for side in sides for note in side.run.notes)
    about = {note: [s.letter for s in sides if note in s.run.notes] for note in every}
    return [f"{' and '.join(letters)}: {note}" for note, letters in about.items()]


def _metrics_left_out(missing: Sequence[str]) -> list[str]:
    return [f"Measured on one side only, left out: {', '.join(missing)}."] if missing else []


def _write(folder: Path, plan: Plan, joint: _Joint, notes: Sequence[str]) -> None:
    check_writable(folder, "--out")
    check_same_plan(folder, plan)
    write_plan(folder, plan)
    write_json(folder / "environment.json", joining.joint_environment(*joint.sides))
    gallery = _copy_pictures(folder, joint)
    estimates = [
        {"arm": found.side.label(arm), **to_json(row)}
        for found, arm in joint.arms
        for metric in joint.metrics
        for row in estimates_of(found, arm, metric, joint.shared)
    ]
    comparisons = [to_json(row) for row in joint.comparisons]
    _write_tables(folder, joint, estimates, comparisons)
    summary = {
        **_head(plan, joint),
        "estimates": estimates,
        "comparisons": comparisons,
        "gallery": gallery,
        "notes": list(notes),
    }
    write_json(folder / "summary.json", summary)
    write_json(folder / "summary.json", {**summary, "flips": flips_json(read_run(folder))})
    render(folder, FORMATS)


def _copy_pictures(folder: Path, joint: _Joint) -> list[dict[str, Any]]:
    gallery = []
    for found, arm in joint.arms:
        for picture, row in joining.pictures_of(found.side, arm, joint.shared):
            copy_atomic(found.side.run.folder / picture.path, folder / row["path"])
            gallery.append(row)
    return gallery


def _write_tables(
    folder: Path,
    joint: _Joint,
    estimates: Sequence[dict[str, Any]],
    comparisons: Sequence[dict[str, Any]],
) -> None:
    scores = (
        score_columns(found.side.label(arm), row)
        for found, arm in joint.arms
        for row in joining.score_rows(found, arm, joint.metrics)
    )
    added = (
        row
        for found, arm in joint.arms
        for row in joining.contribution_rows(found, arm, joint.shared)
    )
    write_table(folder / "scores.parquet", scores, SCORES)
    write_table(folder / "contributions.parquet", added, CONTRIBUTIONS)
    write_table(folder / "estimates.parquet", estimates, ESTIMATES)
    write_table(folder / "comparisons.parquet", comparisons, COMPARISONS)


def _head(plan: Plan, joint: _Joint) -> dict[str, Any]:
    data = to_json(plan)
    fields = ("schema_version", "suite", "question", "finding", "primary_metric", "arms")
    tests = dict.fromkeys(test for side in joint.sides for test in side.run.self_tests)
    return {
        **{name: data[name] for name in fields},
        "sides": data["options"]["sides"],
        "fingerprint": plan.fingerprint,
        "self_tests": [to_json(test) for test in tests],
        "counts": {
            found.side.label(arm): joining.counts_of(found, arm, joint.shared)
            for found, arm in joint.arms
        },
        "cost": joining.joint_cost(*joint.sides),
    }


def _new_folder(plan: Plan) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    return Path("runs") / f"compare-{stamp}-{plan.fingerprint[:8]}"
