"""The baseline: what was accepted, small enough to review and commit, equal bytes for equal runs.

It holds per-image values, so that a later run is compared in pairs; who accepted it, when and why
comes from git and the caller. Timings and machine-specific paths are left out, or two accepts of
one run would differ.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dalle2eval.gate.measured import ArmMeasured, MetricMeasured
from dalle2eval.gate.policy import Floor, floors_from
from dalle2eval.metrics import METRICS
from dalle2eval.records import InputError, SampleKey, fingerprint
from dalle2eval.spelling import nearest
from dalle2eval.store import write_atomic
from reports.run_record import RunRecord

BASELINE_VERSION = 1
DIGITS = 6  # significant digits of per-image values: a difference of 1e-6 gates nothing
FIELDS = ("baseline_version", "accepted", "conditions", "floors", "arms")


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What was accepted.

    Attributes:
        accepted: reason, by, date and commit.
        conditions: what must be the same for a comparison to mean anything.
        floors: of metrics by name; degradations below them are never called a regression.
    """

    accepted: Mapping[str, Any]
    conditions: Mapping[str, Any]
    floors: Mapping[str, Floor]
    arms: Mapping[str, ArmMeasured]


def conditions_of(run: RunRecord) -> dict[str, Any]:
    """Return what a comparison rests on besides prompts and seeds: suite, sizes and machine class.

    The prompts' fingerprint covers texts and facts, which the keys do not show.
    """
    machine = run.environment
    return {
        "suite": run.plan.suite,
        "prompts": fingerprint([[p.id, p.text, dict(p.facts or {})] for p in run.plan.prompts]),
        "sizes": sorted({picture.size for picture in run.gallery}),
        "reference": yardstick(run),
        "machine": {name: machine.get(name) for name in ("cpu", "gpu", "os")},
        "packages": dict(machine.get("packages", {})),
    }


def yardstick(run: RunRecord) -> list[Any]:
    """Return what names the reference images of a run; distances to others are other distances."""
    options = run.plan.options
    real = options.get("reference") or {}
    return [options.get("references_per_prompt"), real.get("content")]


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Write a baseline as JSON, one image a line."""
    data = {
        "baseline_version": BASELINE_VERSION,
        "accepted": dict(baseline.accepted),
        "conditions": dict(baseline.conditions),
        "floors": {n: [f.absolute, f.relative] for n, f in sorted(baseline.floors.items())},
        "arms": {name: _arm_to_json(arm) for name, arm in sorted(baseline.arms.items())},
    }
    write_atomic(path, (_dump(data) + "\n").encode())


def read_baseline(path: Path) -> Baseline:
    """Read a baseline.

    Raises:
        InputError: there is none, it is damaged, or it was written by a newer release.
    """
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(
            f'{path}: no baseline; make one with `gate accept RUN --baseline {path} --reason "..."`'
        ) from None
    except (OSError, ValueError, RecursionError):
        raise InputError(f"{path}: cannot be read as a baseline (not JSON)") from None
    _check_version(path, data)
    try:
        if not data["arms"]:
            raise ValueError("it holds no arm: nothing would be compared")
        return Baseline(
            accepted=_mapping(data, "accepted"),
            conditions={
                **_mapping(data, "conditions"),
                "packages": _mapping(data["conditions"], "packages"),
            },
            floors=floors_from(data["floors"]),
            arms={name: _arm_from_json(name, arm) for name, arm in data["arms"].items()},
        )
    except KeyError as error:
        raise InputError(f"{path}: damaged baseline, lacks {error}") from None
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: damaged baseline, {error}") from None


def _mapping(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = data[name]
    if not isinstance(found, dict):
        raise ValueError(f"{name} is no object")
    return found


def _check_version(path: Path, data: Any) -> None:
    if not isinstance(data, dict) or any(name not in data for name in FIELDS):
        raise InputError(f"{path}: not a baseline (its fields are {', '.join(FIELDS)})")
    version = data["baseline_version"]
    if version != BASELINE_VERSION:
        newer = isinstance(version, int) and version > BASELINE_VERSION
        raise InputError(
            f"{path}: baseline_version {version!r}"
            + (" comes from a newer release" if newer else "")
            + f"; this one reads {BASELINE_VERSION}"
        )


def _arm_to_json(arm: ArmMeasured) -> dict[str, Any]:
    metrics = [m for m in arm.metrics.values() if m.by_image]
    return {
        "metrics": {
            m.name: {"value": m.value, "n": m.n, "extractor": m.extractor, "reason": m.reason}
            for m in arm.metrics.values()
        },
        "columns": [m.name for m in metrics],
        "images": [
            [key.prompt_id, key.seed, *(_rounded(m.by_image.get(key)) for m in metrics)]
            for key in sorted(arm.keys)
        ],
    }


def _arm_from_json(name: str, data: Mapping[str, Any]) -> ArmMeasured:
    columns, images = data["columns"], data["images"]
    keys = [SampleKey(prompt_id=str(row[0]), seed=int(row[1])) for row in images]
    values: dict[str, dict[SampleKey, float]] = {column: {} for column in columns}
    for key, row in zip(keys, images, strict=True):
        for column, value in zip(columns, row[2:], strict=True):
            if value is not None:
                values[column][key] = float(value)
    metrics = {
        metric: _metric_from_json(metric, facts, values.get(metric, {}))
        for metric, facts in data["metrics"].items()
    }
    if not metrics or not keys:
        raise ValueError(f"arm {name!r} holds no metric or no image: nothing would be compared")
    if len(set(keys)) < len(keys):
        raise ValueError(f"arm {name!r} holds an image twice")
    return ArmMeasured(name=name, keys=frozenset(keys), metrics=metrics)


def _metric_from_json(
    name: str, facts: Mapping[str, Any], by_image: Mapping[SampleKey, float]
) -> MetricMeasured:
    """Return a metric whose value, n and images agree: an edited one gates nothing, or wrongly."""
    if name not in METRICS:
        raise ValueError(f"metric {name!r} is unknown{nearest(name, METRICS)}; accept a new one")
    value, n = facts["value"], facts["n"]
    if value is not None and (not isinstance(value, int | float) or not math.isfinite(value)):
        raise ValueError(f"{name} is {value!r}; allowed: a number, or null with a reason")
    if not all(map(math.isfinite, by_image.values())):
        raise ValueError(f"{name} of an image is not finite")
    metric = MetricMeasured(
        name=name,
        value=value,
        n=n,
        extractor=facts["extractor"],
        reason=facts["reason"],
        by_image=by_image,
    )
    if value is None:
        if by_image or not metric.reason:
            raise ValueError(f"{name} has images, or no reason, and no value; it was edited")
    elif not metric.over_set and (len(by_image) != n or not _mean_is(by_image, value)):
        raise ValueError(f"{name} is {value:g} of {n}, its images say otherwise; it was edited")
    return metric


def _mean_is(by_image: Mapping[SampleKey, float], value: float) -> bool:
    """Say whether the mean of rounded scores is the value, which was not rounded."""
    mean, size = sum(by_image.values()) / len(by_image), max(map(abs, by_image.values()))
    return abs(mean - value) <= size * 10.0 ** (1 - DIGITS)


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")


def _dump(data: Mapping[str, Any]) -> str:
    """Return JSON with one line an image: a diff then shows which images changed."""
    marks: dict[str, str] = {}
    arms = {}
    for name, arm in data["arms"].items():
        rows = [json.dumps(row, ensure_ascii=False) for row in arm["images"]]
        mark = f"images of arm {len(marks)}"
        marks[json.dumps(mark)] = "[\n     " + ",\n     ".join(rows) + "\n    ]"
        arms[name] = {**arm, "images": mark}
    text = json.dumps({**data, "arms": arms}, indent=1, sort_keys=True, ensure_ascii=False)
    for mark, rows_text in marks.items():
        text = text.replace(f'"images": {mark}', f'"images": {rows_text}', 1)
    return text
