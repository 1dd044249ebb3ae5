"""From a suite's `training:` and an arm's `train:` to trainings that are named before any work.

Each arm is trained once from each training seed. Such a repeat (``eps.train-1``) is an arm of the
plan like any other, drawn and scored by itself; the arm ``eps`` is the mean over its repeats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ablations.checking import at
from ablations.loading import LoadedSuite
from dalle2eval.records import ArmSpec, InputError, Plan, fingerprint
from dalle2eval.spelling import nearest

if TYPE_CHECKING:
    from ablations.located_yaml import Path
    from ablations.resolving import Planner
    from reference_model.manifest import Manifest

OPTION = "training"  # of a plan; the reports read it
STAGE = "stage"  # in an arm's `train`
FEWEST_SEEDS = {"prior": 3, "prior-ar": 3}  # a prior is trained in minutes; others may take hours
# What a stage makes is used where this setting names it.
USED_BY = {
    "prior": {"prior": "x0"},
    "prior-ar": {"prior": "ar"},
    "decoder": {"decoder": "unclip"},
    "decoder-imagen": {"decoder": "imagen"},
}
BUDGET = ("loop.steps", "loop.batch_size", "loop.accumulate", "embeddings")


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
    return USED_BY.get(_training_of(loaded, arm).stage, {})


def check_trainings(loaded: LoadedSuite, planner: Planner) -> None:
    """Refuse what can be known to be wrong of a suite's trainings before its arms are resolved.

    Raises:
        InputError: a name or a value is not allowed, arms have unequal budgets, or a suite that
            trains nothing has arms that do; at the place in the file.
    """
    suite = loaded.suite
    if suite.training is None:
        for name, arm in suite.arms.items():
            if arm.train:
                message = "the suite trains nothing: give it `training:` (stage, steps, seeds)"
                raise loaded.document.error(("arms", name, "train"), message)
        return
    if manifest_of(planner) is None:
        message = f'"{suite.model.name}" is no reference model, so no part of it can be trained'
        raise loaded.document.error(("model", "name"), message)
    _check_names(loaded)
    _check_seeds(loaded)
    _check_fields(loaded, ("training", "set"), suite.training.stage, suite.training.set)
    for name, arm in suite.arms.items():
        _check_arm(loaded, name, arm.train)


def _check_names(loaded: LoadedSuite) -> None:
    from reference_model.presets import preset as named_preset
    from reference_model.training.train import choose

    training = loaded.suite.training
    assert training is not None
    preset_at: Path = ("training", "preset") if training.preset else ("model", "name")
    with at(loaded, preset_at):
        named_preset(preset_of(loaded))
    with at(loaded, ("training", "recipe")):
        choose(training.recipe, None)
    _check_stage(loaded, ("training", STAGE), training.stage)


def _check_stage(loaded: LoadedSuite, path: Path, stage: object) -> None:
    """Refuse a stage that is none, or that builds on another CLIP than the model's."""
    from reference_model.training.planned import TRAINABLE

    if stage not in TRAINABLE:
        message = f"no stage {stage!r} can be trained for an arm"
        raise loaded.document.error(path, message + nearest(str(stage), TRAINABLE))
    with at(loaded, path):
        _planned(loaded, str(stage), {})


def _check_seeds(loaded: LoadedSuite) -> None:
    training = loaded.suite.training
    assert training is not None
    path, fewest = ("training", "seeds"), FEWEST_SEEDS.get(training.stage, 2)
    if len(set(training.seeds)) < len(training.seeds):
        raise loaded.document.error(path, f"a training seed occurs twice: {training.seeds}")
    if len(training.seeds) < fewest:
        message = f"{len(training.seeds)} training seeds; the stage {training.stage} needs {fewest}"
        raise loaded.document.error(path, f"{message}, or how trainings vary stays unknown")


def _check_arm(loaded: LoadedSuite, name: str, train: Mapping[str, Any]) -> None:
    path: Path = ("arms", name, "train")
    if STAGE in train:
        _check_stage(loaded, (*path, STAGE), train[STAGE])
    for field in train:
        if field in BUDGET:
            message = f"{field} is of the budget, which is equal in all arms; set it in `training:`"
            raise loaded.document.error((*path, field), message)
    own = {field: value for field, value in train.items() if field != STAGE}
    _check_fields(loaded, path, _training_of(loaded, name).stage, own)


def _check_fields(loaded: LoadedSuite, path: Path, stage: str, fields: Mapping[str, Any]) -> None:
    for field, value in fields.items():
        if field == "loop.steps":
            raise loaded.document.error((*path, field), "say it as training.steps")
        with at(loaded, (*path, field)):
            made_of = _planned(loaded, stage, {field: value}).made_of
            if made_of == _planned(loaded, stage, {}).made_of and not _is_default(
                loaded, stage, field, value
            ):
                raise InputError(
                    f"{field} is {value!r} and changes nothing where {stage} is trained"
                )
    with at(loaded, path):
        _planned(loaded, stage, fields)


def _is_default(loaded: LoadedSuite, stage: str, field: str, value: Any) -> bool:
    from reference_model.training.planned import trained_value

    training = loaded.suite.training
    assert training is not None
    return bool(trained_value(preset_of(loaded), training.recipe, stage, {}, field) == value)


def _planned(loaded: LoadedSuite, stage: str, changes: Mapping[str, Any], seed: int = 0) -> Any:
    from reference_model.training.planned import planned_part

    training = loaded.suite.training
    assert training is not None
    return planned_part(
        preset_of(loaded), training.recipe, stage, steps=training.steps, seed=seed, changes=changes
    )


def _training_of(loaded: LoadedSuite, arm: str) -> ArmTraining:
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

    stages = {_training_of(loaded, arm).stage for arm in suite.arms}
    planned = {stage: _planned(loaded, stage, {}).part for stage in stages}
    return DALLE2(replace(manifest, parts={**manifest.parts, **planned}))


def with_trainings(
    loaded: LoadedSuite, planner: Planner, specs: Sequence[ArmSpec], place: Mapping[str, Path]
) -> tuple[ArmSpec, ...]:
    """Return the arms with what they train among their settings and changes, one change an arm.

    Args:
        loaded: the suite.
        planner: the model.
        specs: all arms of the suite, grids expanded.
        place: where each stands in the suite.

    Raises:
        InputError: an arm differs from its reference arm in nothing, or in more than one thing, or
            its pictures do not depend on what it trains.
    """
    if loaded.suite.training is None:
        return tuple(specs)
    found = {spec.name: _training_of(loaded, place[spec.name][1]) for spec in specs}  # type: ignore[arg-type]
    paths = dict.fromkeys(p for arm in loaded.suite.arms.values() for p in arm.train)
    values = {name: _values(loaded, training, list(paths)) for name, training in found.items()}
    told = []
    for spec in specs:
        base = values[spec.reference or spec.name]
        own = {name: value for name, value in values[spec.name].items() if value != base[name]}
        changes = {**spec.changes, **own}
        if spec.reference is not None:
            _check_one_change(loaded, place[spec.name], spec, changes)
        told.append(replace(spec, changes=changes, settings={**spec.settings, **values[spec.name]}))
    manifest = manifest_of(planner)
    assert manifest is not None
    for spec in told:
        _check_used(loaded, place[spec.name], spec, (manifest, found[spec.name]))
    return tuple(told)


def _values(loaded: LoadedSuite, training: ArmTraining, paths: Sequence[str]) -> dict[str, Any]:
    """Return what the fields that any arm changes are in an arm, as ``train.prior.target``."""
    from reference_model.training.planned import trained_value

    suite = loaded.suite.training
    assert suite is not None
    chosen = (preset_of(loaded), suite.recipe, training.stage, training.changes)
    return {
        f"train.{path}": training.stage if path == STAGE else trained_value(*chosen, path)
        for path in paths
    }


def _check_one_change(
    loaded: LoadedSuite, path: Path, spec: ArmSpec, changes: Mapping[str, Any]
) -> None:
    told = ", ".join(f"{name} = {value}" for name, value in changes.items())
    if not changes:
        message = f"arm {spec.name} is trained and drawn as its reference arm {spec.reference} is"
        raise loaded.document.error(path, message)
    if len(changes) > 1:
        message = (
            f"arm {spec.name} differs from its reference arm {spec.reference} in "
            f"{len(changes)} things ({told}); one is allowed, or the difference has no one cause"
        )
        raise loaded.document.error(path, message)


def _check_used(
    loaded: LoadedSuite, path: Path, spec: ArmSpec, trained: tuple[Manifest, ArmTraining]
) -> None:
    """Refuse an arm whose pictures are the same whatever was trained."""
    from ablations.trained_stack import StackWith

    manifest, training = trained
    part = _planned(loaded, training.stage, training.changes).part
    with at(loaded, path):
        _check_fits(manifest, part.config)
        stack = StackWith(manifest, training.stage, replace(part, sha256="planned"))
        chain = stack.plan_stages(spec.settings, max(loaded.suite.sizes.values()))
    if not any(stack.reads(stage) for stage in chain):
        message = f"arm {spec.name} trains {training.stage}, which its pictures do not depend on"
        raise loaded.document.error(path, message)


def _check_fits(manifest: Manifest, config: Mapping[str, Any]) -> None:
    """Refuse an architecture that reads another z_i than the model's CLIP makes."""
    made, read = manifest.part("clip").config["embed_dim"], config.get("z_dim")
    if read is not None and read != made:
        raise ValueError(
            f"the CLIP of {manifest.name!r} makes z_i of {made} numbers, and the trained part "
            f"reads {read}; choose another preset"
        )


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
    loaded: LoadedSuite, specs: Sequence[ArmSpec], planner: Planner
) -> dict[str, Any]:
    """Return what a plan says of its trainings, by which they can be done again.

    Args:
        loaded: the suite.
        specs: the arms that are run, without their repeats.
        planner: the model.
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
    grids = {spec.name: _origin(loaded, spec.name) for spec in specs}
    for spec in specs:
        own = _training_of(loaded, grids[spec.name])
        told: dict[str, Any] = {"stage": own.stage, "changes": dict(own.changes)}
        unit = training_unit_of(option, told, suite.seeds[0], manifest)
        told["made_of"] = fingerprint(unit.identity)
        option["arms"][spec.name] = told  # type: ignore[index]
    return {OPTION: option}


def _origin(loaded: LoadedSuite, arm: str) -> str:
    """Return the arm of the suite that an arm, maybe of a grid, comes from."""
    names = [name for name in loaded.suite.arms if arm == name or arm.startswith(f"{name}-")]
    return max(names, key=len)
