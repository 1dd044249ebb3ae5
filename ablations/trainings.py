"""From a suite's `training:` and an arm's `train:` to trainings that are named before any work.

Each arm is trained once from each training seed. Such a repeat (``eps.train-1``) is an arm of the
plan like any other, drawn and scored by itself; the arm ``eps`` is the mean over its repeats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ablations.loading import LoadedSuite
from dalle2eval.records import ArmSpec, Plan, fingerprint

if TYPE_CHECKING:
    from ablations.located_yaml import Path
    from ablations.resolving import Planner
    from reference_model.manifest import Manifest
    from reference_model.training.planned import PlannedPart

OPTION = "training"  # of a plan; the reports read it
STAGE = "stage"  # in an arm's `train`
# What a stage makes is used where this setting names it.
USED_BY = {
    "prior": {"prior": "x0"},
    "prior-ar": {"prior": "ar"},
    "decoder": {"decoder": "unclip"},
    "decoder-imagen": {"decoder": "imagen"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmTraining:
    """What an arm trains, from whichever seed."""

    stage: str
    changes: Mapping[str, Any]


def is_training(plan: Plan) -> bool:
    """Say whether the arms of a plan are trained."""
    return OPTION in plan.options


def repeats_of(plan: Plan) -> Mapping[str, Mapping[str, int]]:
    """Return, by arm, its repeats with their training seeds; nothing where nothing is trained."""
    training: Mapping[str, Any] = plan.options.get(OPTION, {})
    repeats: Mapping[str, Mapping[str, int]] = training.get("repeats", {})
    return repeats


def repeat_name(arm: str, seed: int) -> str:
    """Return what an arm is called when trained from a seed."""
    return f"{arm}.train-{seed}"


def manifest_of(planner: object) -> Manifest | None:
    """Return the manifest of a model of ours, also within an `Ensemble`; None of another system."""
    found: Manifest | None = getattr(getattr(planner, "main", planner), "manifest", None)
    return found


def preset_of(loaded: LoadedSuite) -> str:
    """Return the architecture that the suite's arms are trained in."""
    suite = loaded.suite
    chosen = suite.training.preset if suite.training else None
    return chosen or suite.model.name.removeprefix("reference:")


def settings_for(loaded: LoadedSuite, arm: str) -> dict[str, Any]:
    """Return the settings by which an arm uses what it trains; nothing where nothing is trained."""
    if loaded.suite.training is None:
        return {}
    return USED_BY.get(training_of(loaded, arm).stage, {})


def planned(loaded: LoadedSuite, stage: str, changes: Mapping[str, Any]) -> PlannedPart:
    """Return what a training of the suite would make.

    Raises:
        ValueError: a name or a value is not allowed.
    """
    from reference_model.training.planned import planned_part

    training = loaded.suite.training
    assert training is not None
    return planned_part(
        preset_of(loaded), training.recipe, stage, steps=training.steps, seed=0, changes=changes
    )


def training_of(loaded: LoadedSuite, arm: str) -> ArmTraining:
    """Return what an arm trains: the suite's, with what its reference arms and it change."""
    suite, chain = loaded.suite, [arm]
    assert suite.training is not None
    while (reference := suite.arms[chain[-1]].reference) in suite.arms and reference not in chain:
        assert reference is not None
        chain.append(reference)
    changes: dict[str, Any] = {STAGE: suite.training.stage, **suite.training.set}
    for ancestor in reversed(chain):
        changes |= suite.arms[ancestor].train
    stage = changes.pop(STAGE)
    return ArmTraining(stage=str(stage), changes=changes)


def with_planned_parts(loaded: LoadedSuite, planner: Planner) -> Planner:
    """Return a model that has every part which the suite's arms train, so that it can be asked."""
    manifest, suite = manifest_of(planner), loaded.suite
    if suite.training is None or manifest is None:
        return planner
    from reference_model.dalle2 import DALLE2

    stages = {training_of(loaded, arm).stage for arm in suite.arms}
    parts = {stage: planned(loaded, stage, {}).part for stage in stages}
    return DALLE2(replace(manifest, parts={**manifest.parts, **parts}))


def with_repeats(specs: Sequence[ArmSpec], seeds: Sequence[int]) -> tuple[ArmSpec, ...]:
    """Return every arm, and behind them its repeats, each held against that of its own seed."""
    repeats = [
        replace(
            spec,
            name=repeat_name(spec.name, seed),
            reference=None if spec.reference is None else repeat_name(spec.reference, seed),
        )
        for spec in specs
        for seed in seeds
    ]
    return (*specs, *repeats)


def training_option(
    loaded: LoadedSuite, planner: Planner, specs: Sequence[ArmSpec], place: Mapping[str, Path]
) -> dict[str, Any]:
    """Return what a plan says of its trainings, by which they can be done again.

    Args:
        loaded: the suite.
        planner: the model.
        specs: the arms that are run, without their repeats.
        place: where each arm stands in the suite.
    """
    from ablations.training_units import training_unit_of

    suite = loaded.suite.training
    if suite is None:
        return {}
    manifest = manifest_of(planner)
    assert manifest is not None
    option = {
        "preset": preset_of(loaded),
        "recipe": suite.recipe,
        "steps": suite.steps,
        "seeds": list(suite.seeds),
        "arms": {},
        "repeats": {s.name: {repeat_name(s.name, t): t for t in suite.seeds} for s in specs},
    }
    for spec in specs:
        own = training_of(loaded, str(place[spec.name][1]))
        told: dict[str, Any] = {"stage": own.stage, "changes": dict(own.changes)}
        unit, _ = training_unit_of(option, told, suite.seeds[0], manifest)
        told["made_of"] = fingerprint(unit.identity)
        option["arms"][spec.name] = told  # type: ignore[index]
    return {OPTION: option}
