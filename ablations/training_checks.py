"""Are a suite's trainings right? Asked before any work, answered at the place in the file.

What an arm trains must be one thing that its reference arm does not, at an equal budget, and its
pictures must depend on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ablations.checking import at
from ablations.loading import LoadedSuite
from ablations.trainings import (
    STAGE,
    ArmTraining,
    manifest_of,
    planned,
    preset_of,
    training_of,
)
from dalle2eval.records import ArmSpec, InputError
from dalle2eval.spelling import nearest

if TYPE_CHECKING:
    from ablations.located_yaml import Path
    from ablations.resolving import Planner
    from reference_model.manifest import Manifest

FEWEST_SEEDS = {"prior": 3, "prior-ar": 3}  # a prior is trained in minutes; others may take hours
BUDGET = ("loop.steps", "loop.batch_size", "loop.accumulate", "embeddings")


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
        planned(loaded, str(stage), {})


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
    _check_fields(loaded, path, training_of(loaded, name).stage, own)


def _check_fields(loaded: LoadedSuite, path: Path, stage: str, fields: Mapping[str, Any]) -> None:
    for field, value in fields.items():
        if field == "loop.steps":
            raise loaded.document.error((*path, field), "say it as training.steps")
        with at(loaded, (*path, field)):
            made_of = planned(loaded, stage, {field: value}).made_of
            if made_of == planned(loaded, stage, {}).made_of and not _is_default(
                loaded, stage, field, value
            ):
                raise InputError(
                    f"{field} is {value!r} and changes nothing where {stage} is trained"
                )
    with at(loaded, path):
        planned(loaded, stage, fields)


def _is_default(loaded: LoadedSuite, stage: str, field: str, value: Any) -> bool:
    from reference_model.training.planned import trained_value

    training = loaded.suite.training
    assert training is not None
    return bool(trained_value(preset_of(loaded), training.recipe, stage, {}, field) == value)


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
    found = {spec.name: training_of(loaded, str(place[spec.name][1])) for spec in specs}
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
    part = planned(loaded, training.stage, training.changes).part
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
