"""Read a run folder and refuse, in one line, a file that is missing, damaged or edited.

The contract is docs/design/001-run-folder.md. The numbers lie in the folder twice (Parquet for
tables, summary.json for machines); both are read and must agree, so that an edited file is
not shown as a result.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import pyarrow
import pyarrow.parquet
import yaml

from dalle2eval.records import (
    SCHEMA_VERSION,
    Comparison,
    Estimate,
    InputError,
    Plan,
    SampleKey,
    Score,
    SelfTest,
    plan_from_json,
)
from reports.over_trainings import over_trainings
from reports.run_record import Cost, Counts, Picture, RunRecord, StageCost

Row = Mapping[str, Any]
Record = TypeVar("Record")

SUMMARY_FIELDS = (
    "schema_version", "fingerprint", "estimates", "comparisons",
    "self_tests", "counts", "cost", "gallery", "notes",
)  # fmt: skip
SCORE_COLUMNS = ("arm", "prompt_id", "seed", "metric", "value", "reason", "detail")


def read_run(folder: str | Path) -> RunRecord:
    """Read and check a run folder.

    Raises:
        InputError: a file is missing, damaged, edited by hand, or of a newer release; names it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such run folder (expected a folder with plan.yaml)")
    plan = _read_plan(folder / "plan.yaml")
    summary = _read_summary(folder / "summary.json", plan)
    estimates = _read_estimates(folder / "estimates.parquet", plan)
    _check_same(folder, summary["estimates"], estimates)
    run = RunRecord(
        folder=folder,
        plan=plan,
        environment=_read_json(folder / "environment.json"),
        estimates=estimates,
        comparisons=_read_comparisons(folder / "comparisons.parquet", plan),
        scores=_read_scores(folder / "scores.parquet", plan),
        **_from_summary(folder / "summary.json", summary, plan),
    )
    return over_trainings(run, summary)


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(
            f"{path}: missing; is the run finished? `dalle2eval run` resumes it"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def _read_json(path: Path) -> dict[str, Any]:
    content = _read_bytes(path)
    try:
        data = json.loads(content)
    except ValueError as error:
        raise InputError(f"{path}: damaged, not JSON ({error})") from None
    if not isinstance(data, dict):
        raise InputError(f"{path}: damaged, expected a JSON object")
    return data


def _read_plan(path: Path) -> Plan:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml reads 160 prompts 8x faster
    try:
        data = yaml.load(_read_bytes(path), Loader=loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: damaged, not YAML ({_one_line(error)})") from None
    if not isinstance(data, dict):
        raise InputError(f"{path}: damaged, expected a mapping")
    _check_schema(path, data.get("schema_version"))
    try:
        plan = plan_from_json(data)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    names = [arm.name for arm in plan.arms]
    if len(set(names)) < len(names):
        raise InputError(f"{path}: damaged, two arms have one name")
    return plan


def _check_schema(path: Path, version: object) -> None:
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise InputError(
            f"{path}: schema_version {version} comes from a newer release; "
            f"this one reads {SCHEMA_VERSION}"
        )
    if version != SCHEMA_VERSION:
        raise InputError(f"{path}: schema_version {version!r}; this release reads {SCHEMA_VERSION}")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _read_summary(path: Path, plan: Plan) -> dict[str, Any]:
    summary = _read_json(path)
    _check_schema(path, summary.get("schema_version"))
    missing = [name for name in SUMMARY_FIELDS if name not in summary]
    if missing:
        raise InputError(f"{path}: damaged, lacks {', '.join(missing)}")
    if summary["fingerprint"] != plan.fingerprint:
        raise InputError(
            f"{path}: belongs to another plan ({str(summary['fingerprint'])[:12]}) than plan.yaml "
            f"({plan.fingerprint[:12]}); one of them was edited"
        )
    return summary


def read_rows(path: Path, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return the named columns of a Parquet file of a run folder, as rows.

    Raises:
        InputError: the file is missing or damaged, or lacks a column.
    """
    try:
        table = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(_read_bytes(path))).read()
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: damaged, not Parquet ({_one_line(error)[:120]})") from None
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise InputError(f"{path}: damaged, lacks the column {', '.join(missing)}")
    rows: list[dict[str, Any]] = table.select(list(columns)).to_pylist()
    return rows


def _build(path: Path, kind: type[Record], row: Row) -> Record:
    """Make a record; its own checks (no NaN, no number without n) refuse an edited row."""
    try:
        return kind(**row)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: damaged, {_one_line(error)}") from None


def _names(kind: type[Any]) -> list[str]:
    return [item.name for item in fields(kind)]


def _known_arm(path: Path, arm: object, plan: Plan) -> str:
    names = [spec.name for spec in plan.arms]
    if arm not in names:
        raise InputError(f"{path}: arm {arm!r} is not in plan.yaml (its arms: {', '.join(names)})")
    return str(arm)


def _read_estimates(path: Path, plan: Plan) -> dict[tuple[str, str, str], Estimate]:
    estimates: dict[tuple[str, str, str], Estimate] = {}
    for row in read_rows(path, ["arm", *_names(Estimate)]):
        arm = _known_arm(path, row.pop("arm"), plan)
        estimate = _build(path, Estimate, row)
        key = (arm, estimate.metric, estimate.slice)
        if key in estimates:
            raise InputError(f"{path}: {estimate.metric} of {arm} ({estimate.slice}) occurs twice")
        estimates[key] = estimate
    return estimates


def _check_same(
    folder: Path, rows: Sequence[Row], estimates: Mapping[tuple[str, str, str], Estimate]
) -> None:
    place = f"{folder / 'summary.json'}: disagrees with estimates.parquet"
    try:
        told = {(row["arm"], row["metric"], row["slice"]): row["value"] for row in rows}
    except (KeyError, TypeError) as error:
        raise InputError(f"{folder / 'summary.json'}: damaged estimates, {error}") from None
    if told.keys() != estimates.keys():
        odd = sorted(told.keys() ^ estimates.keys())[0]
        raise InputError(f"{place}: only one of them has {odd[1]} of {odd[0]} ({odd[2]})")
    for key, estimate in estimates.items():
        if not _equal(told[key], estimate.value):
            raise InputError(
                f"{place} about {key[1]} of {key[0]} ({key[2]}): {told[key]} against "
                f"{estimate.value}; one of them was edited"
            )


def _equal(first: Any, second: float | None) -> bool:
    if first is None or second is None:
        return first is second
    return isinstance(first, int | float) and math.isclose(first, second, rel_tol=1e-9)


def _read_comparisons(path: Path, plan: Plan) -> tuple[Comparison, ...]:
    comparisons = []
    for row in read_rows(path, _names(Comparison)):
        _known_arm(path, row["arm"], plan)
        _known_arm(path, row["reference"], plan)
        comparisons.append(_build(path, Comparison, row))
    return tuple(comparisons)


def _read_scores(path: Path, plan: Plan) -> dict[tuple[str, SampleKey], tuple[Score, ...]]:
    prompt_ids = {prompt.id for prompt in plan.prompts}
    scores: dict[tuple[str, SampleKey], list[Score]] = {}
    for row in read_rows(path, SCORE_COLUMNS):
        arm = _known_arm(path, row["arm"], plan)
        if row["prompt_id"] not in prompt_ids:
            raise InputError(f"{path}: prompt {row['prompt_id']!r} is not in plan.yaml")
        score = _read_score(path, row)
        scores.setdefault((arm, score.key), []).append(score)
    return {key: tuple(found) for key, found in scores.items()}


def _read_score(path: Path, row: Row) -> Score:
    try:
        detail = json.loads(row["detail"]) if row["detail"] is not None else None
    except (TypeError, ValueError):
        raise InputError(
            f"{path}: damaged, a detail is not JSON: {str(row['detail'])[:60]!r}"
        ) from None
    key = SampleKey(prompt_id=row["prompt_id"], seed=row["seed"])
    return _build(
        path,
        Score,
        {
            "key": key,
            "metric": row["metric"],
            "value": row["value"],
            "reason": row["reason"],
            "detail": detail,
        },
    )


def _from_summary(path: Path, summary: Row, plan: Plan) -> dict[str, Any]:
    """Return the fields of `RunRecord` that only summary.json holds."""
    try:
        return {
            "self_tests": tuple(_build(path, SelfTest, row) for row in summary["self_tests"]),
            "counts": {
                _known_arm(path, arm, plan): _build(path, Counts, row)
                for arm, row in summary["counts"].items()
            },
            "cost": _read_cost(path, summary["cost"]),
            "gallery": _read_gallery(path, summary["gallery"], plan),
            "notes": tuple(str(note) for note in summary["notes"]),
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(f"{path}: damaged, {_one_line(error)}") from None


def _read_cost(path: Path, row: Row) -> Cost:
    return Cost(
        total_s=row["total_s"],
        peak_memory_mb=row["peak_memory_mb"],
        stages=tuple(
            _build(path, StageCost, {"stage": stage, **numbers})
            for stage, numbers in row["stages"].items()
        ),
    )


def _read_gallery(path: Path, rows: Sequence[Row], plan: Plan) -> tuple[Picture, ...]:
    prompt_ids = {prompt.id for prompt in plan.prompts}
    pictures = []
    for row in rows:
        arm = _known_arm(path, row["arm"], plan)
        place = PurePosixPath(row["path"])
        if place.is_absolute() or ".." in place.parts or "\\" in row["path"]:
            raise InputError(f"{path}: picture {row['path']!r} lies outside the run folder")
        if row["prompt_id"] not in prompt_ids:
            raise InputError(f"{path}: picture of prompt {row['prompt_id']!r} is not in plan.yaml")
        key = SampleKey(prompt_id=row["prompt_id"], seed=row["seed"])
        pictures.append(Picture(arm=arm, key=key, size=row["size"], path=str(place)))
    return tuple(pictures)
