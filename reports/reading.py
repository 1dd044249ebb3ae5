"""Read a run folder and refuse, in one line, a file that is missing, damaged or edited.

The contract is docs/design/001-run-folder.md. The numbers lie in the folder twice (Parquet for
tables, summary.json for machines); both are read and must agree, so that an edited file is
not shown as a result.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from dalle2eval.records import (
    SCHEMA_VERSION,
    Comparison,
    Estimate,
    InputError,
    Plan,
    SampleKey,
    SelfTest,
    check_text,
    plan_from_json,
)
from reports.files import Row, build, names, one_line, read_bytes, read_json, read_rows
from reports.over_trainings import over_trainings
from reports.run_record import Cost, Counts, Picture, RunRecord, StageCost
from reports.scores import check_means, read_scores

SUMMARY_FIELDS = (
    "schema_version", "fingerprint", "estimates", "comparisons",
    "self_tests", "counts", "cost", "gallery", "notes",
)  # fmt: skip


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
    scores = read_scores(folder / "scores.parquet", plan)
    check_means(folder / "scores.parquet", scores, estimates)
    run = RunRecord(
        folder=folder,
        plan=plan,
        environment=_read_environment(folder / "environment.json"),
        estimates=estimates,
        comparisons=_read_comparisons(folder / "comparisons.parquet", plan),
        scores=scores,
        **_from_summary(folder / "summary.json", summary, plan),
    )
    return over_trainings(run, summary)


def _read_plan(path: Path) -> Plan:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml reads 160 prompts 8x faster
    try:
        data = yaml.load(read_bytes(path), Loader=loader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path}: damaged, not YAML ({one_line(error)})") from None
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


def _read_environment(path: Path) -> dict[str, Any]:
    environment = read_json(path)
    for name in ("git", "packages", "weights"):
        if not isinstance(environment.get(name) or {}, Mapping):
            raise InputError(f"{path}: damaged, {name} is {str(environment[name])[:60]!r}")
    return environment


def _check_schema(path: Path, version: object) -> None:
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise InputError(
            f"{path}: schema_version {version} comes from a newer release; "
            f"this one reads {SCHEMA_VERSION}"
        )
    if version != SCHEMA_VERSION:
        raise InputError(f"{path}: schema_version {version!r}; this release reads {SCHEMA_VERSION}")


def _read_summary(path: Path, plan: Plan) -> dict[str, Any]:
    summary = read_json(path)
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


def _known_arm(path: Path, arm: object, plan: Plan) -> str:
    names = [spec.name for spec in plan.arms]
    if arm not in names:
        raise InputError(f"{path}: arm {arm!r} is not in plan.yaml (its arms: {', '.join(names)})")
    return str(arm)


def _read_estimates(path: Path, plan: Plan) -> dict[tuple[str, str, str], Estimate]:
    estimates: dict[tuple[str, str, str], Estimate] = {}
    for row in read_rows(path, ["arm", *names(Estimate)]):
        arm = _known_arm(path, row.pop("arm"), plan)
        estimate = build(path, Estimate, row)
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
        odd = min(told.keys() ^ estimates.keys(), key=str)
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
    for row in read_rows(path, names(Comparison)):
        _known_arm(path, row["arm"], plan)
        _known_arm(path, row["reference"], plan)
        comparisons.append(build(path, Comparison, row))
    return tuple(comparisons)


def _from_summary(path: Path, summary: Row, plan: Plan) -> dict[str, Any]:
    """Return the fields of `RunRecord` that only summary.json holds."""
    try:
        return {
            "self_tests": tuple(build(path, SelfTest, row) for row in summary["self_tests"]),
            "counts": {
                _known_arm(path, arm, plan): build(path, Counts, row)
                for arm, row in summary["counts"].items()
            },
            "cost": _read_cost(path, summary["cost"]),
            "gallery": _read_gallery(path, summary["gallery"], plan),
            "notes": tuple(str(note) for note in summary["notes"]),
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(f"{path}: damaged, {one_line(error)}") from None


def _read_cost(path: Path, row: Row) -> Cost:
    stages = tuple(
        build(path, StageCost, {"stage": stage, **numbers})
        for stage, numbers in row["stages"].items()
    )
    return build(path, Cost, {**row, "stages": stages})


def _read_gallery(path: Path, rows: Sequence[Row], plan: Plan) -> tuple[Picture, ...]:
    prompt_ids = {prompt.id for prompt in plan.prompts}
    pictures = []
    for row in rows:
        arm = _known_arm(path, row["arm"], plan)
        key = build(path, SampleKey, {"prompt_id": row["prompt_id"], "seed": row["seed"]})
        own = {"arm": arm, "key": key, "size": row["size"], "path": row["path"]}
        picture = build(path, Picture, own)
        place = PurePosixPath(picture.path)
        if place.is_absolute() or ".." in place.parts or "\\" in picture.path:
            raise InputError(f"{path}: picture {picture.path!r} lies outside the run folder")
        if "\0" in check_text(picture.path, f"{path}: a picture's path"):
            raise InputError(f"{path}: picture {picture.path!r} is no name of a file")
        if key.prompt_id not in prompt_ids:
            raise InputError(f"{path}: picture of prompt {key.prompt_id!r} is not in plan.yaml")
        pictures.append(replace(picture, path=str(place)))
    return tuple(pictures)
