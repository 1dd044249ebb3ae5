"""Two sides as one run: the plan, the scores and the pictures that a comparison's folder holds.

A comparison is written as a run folder whose arms are ``A:name`` and ``B:name``, so that the
reports show it, and render it again, like any other run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import PurePosixPath
from typing import Any

from dalle2eval.comparing.matching import Shared
from dalle2eval.comparing.numbers import Evidence
from dalle2eval.comparing.sides import ArmPair, Side
from dalle2eval.records import ArmSpec, Plan
from reports.run_record import Picture

SHORT = 12  # characters of a hash


def joint_plan(
    a: Side, b: Side, *, pairs: Sequence[ArmPair], shared: Shared, metrics: Sequence[str]
) -> Plan:
    """Return the plan of the comparison; ``options.sides`` says where its sides come from."""
    first = a.run.plan
    primary = first.primary_metric if first.primary_metric in metrics else metrics[0]
    models = [side.run.plan.model.get("name", "unnamed") for side in (a, b)]
    return Plan(
        suite="compare",
        question=f"Is B ({_told(b, a)}) better than A ({_told(a, b)})?",
        finding=None,
        model={"name": models[0] if models[0] == models[1] else f"{models[0]} and {models[1]}"},
        arms=tuple(spec for pair in pairs for spec in _specs(a, b, pair)),
        prompts=shared.prompts,
        seeds=shared.seeds,
        metrics=tuple(metrics),
        probes=tuple(probe for probe in first.probes if probe in b.run.plan.probes),
        primary_metric=primary,
        options={"sides": {side.letter: _origin(side) for side in (a, b)}},
    )


def differences(a: Side, b: Side) -> list[str]:
    """Return what differs in how the two runs were made, besides their arms, a sentence each."""
    ours, theirs = a.run.environment, b.run.environment
    found = [
        f"Another {name}: {ours.get(name)} in A, {theirs.get(name)} in B."
        for name in ("cpu", "gpu", "os")
        if ours.get(name) != theirs.get(name)
    ]
    packages = dict(ours.get("packages") or {}), dict(theirs.get("packages") or {})
    changed = [
        f"{n} {packages[0].get(n)} in A, {packages[1].get(n)} in B"
        for n in sorted(packages[0].keys() | packages[1].keys())
        if packages[0].get(n) != packages[1].get(n)
    ]
    if changed:
        found.append(f"Other packages: {'; '.join(changed)}.")
    judging = [dict(s.run.plan.options.get("judged_by") or {}).get("code") for s in (a, b)]
    if judging[0] != judging[1]:
        found.append("The two runs were judged by other versions of the judging code.")
    return found


def score_rows(found: Evidence, arm: str, metrics: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of ``scores.parquet`` of one arm, before their detail becomes text."""
    for metric in metrics:
        for score in found.scores.get((arm, metric), ()):
            row = asdict(score)
            yield {**row.pop("key"), **row}


def contribution_rows(found: Evidence, arm: str, shared: Shared) -> Iterator[dict[str, Any]]:
    """Yield the rows of ``contributions.parquet`` of one arm."""
    label, keys = found.side.label(arm), shared.keys
    for (name, metric), by_key in found.contributions.items():
        for key, value in sorted(by_key.items()):
            if name == arm and key in keys:
                yield {"arm": label, **asdict(key), "metric": metric, "value": value}


def pictures_of(side: Side, arm: str, shared: Shared) -> list[tuple[Picture, dict[str, Any]]]:
    """Return each shared picture of an arm with its row in the comparison's gallery.

    A folder's name is the arm's place in the run: an arm's own name may hold anything.
    """
    keys = shared.keys
    place = [spec.name for spec in side.run.arms].index(arm)
    found = []
    for picture in side.run.gallery:
        if picture.arm == arm and picture.key in keys:
            name = PurePosixPath(picture.path).name
            path = f"samples/{side.letter}-{place}/{picture.size}/{name}"
            row = {"arm": side.label(arm), **asdict(picture.key), "size": picture.size}
            found.append((picture, {**row, "path": path}))
    return found


def counts_of(found: Evidence, arm: str, shared: Shared) -> dict[str, Any]:
    """Count an arm's samples: the run's own counts where all of it is shared, else from scores."""
    own = found.side.run.counts.get(arm)
    if own is not None and shared.whole(found.side):
        return asdict(own)
    scores = [s for (name, _), some in found.scores.items() if name == arm for s in some]
    touched = {score.key for score in scores}
    unscored = {score.key for score in scores if score.value is None}
    whole, lost = len(touched), len(unscored)
    return {"asked": whole, "made": whole, "scored": whole - lost, "unscored": lost}


def joint_cost(a: Side, b: Side) -> dict[str, Any]:
    """Return what both runs cost, stage by stage."""
    costs = {side.letter: side.run.cost for side in (a, b)}
    totals = [cost.total_s for cost in costs.values()]
    peaks = [c.peak_memory_mb for c in costs.values() if c.peak_memory_mb is not None]
    stages = {
        f"{letter}: {stage.stage}": {k: v for k, v in asdict(stage).items() if k != "stage"}
        for letter, cost in costs.items()
        for stage in cost.stages
    }
    known = [total for total in totals if total is not None]
    total = sum(known) if len(known) == len(totals) else None
    return {"total_s": total, "peak_memory_mb": max(peaks, default=None), "stages": stages}


def joint_environment(a: Side, b: Side) -> dict[str, Any]:
    """Return what each side was made on, one text a fact."""
    return {
        side.letter: {name: _flat(value) for name, value in side.run.environment.items()}
        for side in (a, b)
    }


def _told(side: Side, other: Side) -> str:
    folder = side.run.folder.resolve()
    same = side.name == other.name
    return f"{folder.parent.name}/{side.name}" if same else side.name


def _specs(a: Side, b: Side, pair: ArmPair) -> tuple[ArmSpec, ArmSpec]:
    first, second = a.spec(pair.a), b.spec(pair.b)
    settings = dict(first.settings), dict(second.settings)
    changes: dict[str, Any] = {
        name: value for name, value in settings[1].items() if settings[0].get(name) != value
    }
    weights = [str(side.run.plan.model.get("weights", "")) for side in (a, b)]
    if weights[0] != weights[1]:
        changes["weights"] = weights[1][:SHORT] or "unnamed"
    label = a.label(pair.a)
    return (
        ArmSpec(name=label, reference=None, changes={}, settings=settings[0]),
        ArmSpec(name=b.label(pair.b), reference=label, changes=changes, settings=settings[1]),
    )


def _origin(side: Side) -> dict[str, Any]:
    plan = side.run.plan
    git: Mapping[str, Any] = side.run.environment.get("git") or {}
    return {
        "run": side.run.folder.resolve().name,
        "suite": plan.suite,
        "arm": side.arm,
        "fingerprint": plan.fingerprint,
        "model": dict(plan.model),
        "commit": git.get("commit"),
        "dirty": git.get("dirty"),
    }


def _flat(value: Any) -> Any:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {inner}" for name, inner in value.items())
    return value
