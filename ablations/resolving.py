"""From a suite to a `Plan`: every arm's settings, every prompt and seed, named and frozen.

Here the model, the prompt sets and the tables of metrics and probes are asked, so that whatever is
wrong with a suite is said before any work, at its place in the file.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ablations.checking import (
    Tables,
    at,
    check_expectation,
    check_sizes,
    check_tables,
    primary_metric,
)
from ablations.effects import check_drawable, check_effects
from ablations.loading import LoadedSuite
from ablations.located_yaml import Path
from ablations.suite import ARM_NAME, ArmName, Suite
from ablations.training_checks import check_trainings, with_trainings
from ablations.trainings import settings_for, training_option, with_planned_parts, with_repeats
from dalle2eval.models import MODEL, apply_changes
from dalle2eval.protocols import Stage
from dalle2eval.records import ALL, SHOWCASE, ArmSpec, InputError, Plan, Prompt
from dalle2eval.spelling import nearest

SMALLEST = 64  # pixels; what a prompt is drawn at when no slice of it asks for more

LOST_REFERENCES = "references_not_run"  # option of a plan; the reports read it

PromptLoader = Callable[[str, int | None], tuple[Prompt, ...]]


class Planner(Protocol):
    """What a plan asks of a model: no pictures, so it needs no weights in memory."""

    @property
    def name(self) -> str:
        """Name of the model."""

    @property
    def weights(self) -> str:
        """SHA-256 over all of its weights."""

    def resolve_settings(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Return every setting with ``changes`` applied, or raise ValueError."""

    def plan_stages(self, settings: Mapping[str, Any], size: int) -> Sequence[Stage]:
        """Return the chain of stages that leads to images of ``size`` pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the command line chooses on top of a suite (``--arm``, ``--limit``, ``--seed``)."""

    arms: tuple[str, ...] = ()
    limit: int | None = None
    seed: int | None = None


def resolve(
    loaded: LoadedSuite,
    planner: Planner,
    *,
    load_prompts: PromptLoader,
    tables: Tables,
    choice: Choice,
    judged_by: Mapping[str, Any],
) -> Plan:
    """Return the plan of a suite.

    Args:
        loaded: the suite.
        planner: the model.
        load_prompts: finds n prompts of a set.
        tables: what the suite may name.
        choice: from the command line.
        judged_by: the judge's weights and the hash of the judging code; they decide the numbers.

    Raises:
        InputError: a name is unknown or a setting out of range; the message names the place.
    """
    suite = loaded.suite
    check_tables(loaded, tables)
    check_trainings(loaded, planner)
    drawn_by, planner = planner, with_planned_parts(loaded, planner)
    seed = suite.seed if choice.seed is None else choice.seed
    expanded, place = _expand_arms(loaded, planner), _places(suite)
    arms = _choose(expanded, choice.arms)
    primary = primary_metric(loaded, tables)
    check_expectation(loaded, tables, expanded)
    check_drawable(loaded, planner, arms, place)
    prompts = _all_prompts(loaded, load_prompts, choice.limit)
    tags = {tag for prompt in load_prompts(suite.prompts.source, None) for tag in prompt.tags}
    check_sizes(loaded, lambda size: planner.plan_stages(arms[0].settings, size), tags)
    check_effects(loaded, planner, expanded, place)
    told = {spec.name: spec for spec in with_trainings(loaded, planner, expanded, place)}
    arms = tuple(replace(told[arm.name], reference=arm.reference) for arm in arms)
    training = training_option(loaded, planner, arms, place)
    return Plan(
        suite=loaded.name,
        question=suite.question,
        finding=suite.finding.model_dump() if suite.finding else None,
        model={"name": drawn_by.name, "weights": drawn_by.weights},
        arms=with_repeats(arms, suite.training.seeds) if suite.training else arms,
        prompts=prompts,
        seeds=tuple(range(seed, seed + suite.samples_per_prompt)),
        metrics=tuple(dict.fromkeys(suite.metrics)),
        probes=tuple(dict.fromkeys(suite.probes)),
        primary_metric=primary,
        options={
            **_options(suite),
            **_lost_references(expanded, arms),
            **training,
            "judged_by": dict(judged_by),
        },
    )


def _options(suite: Suite) -> dict[str, Any]:
    sizes = dict(suite.sizes)
    if suite.showcase is not None:
        sizes[SHOWCASE] = suite.showcase.size
    return {"sizes": sizes, "references_per_prompt": suite.reference_images.n_per_prompt}


def _lost_references(
    every: Sequence[ArmSpec], chosen: Sequence[ArmSpec]
) -> dict[str, dict[str, str]]:
    """Return, by arm, the reference arm that it has in the suite and that is not run."""
    declared = {spec.name: spec.reference for spec in every}
    lost = {
        spec.name: reference
        for spec in chosen
        if spec.reference is None and (reference := declared[spec.name]) is not None
    }
    return {LOST_REFERENCES: lost} if lost else {}


def _all_prompts(
    loaded: LoadedSuite, load_prompts: PromptLoader, limit: int | None
) -> tuple[Prompt, ...]:
    """Return the prompts that are scored, then those of the showcase, known by their tag."""
    choice, showcase = loaded.suite.prompts, loaded.suite.showcase
    n = choice.n if limit is None else min(limit, choice.n or limit)
    with at(loaded, ("prompts", choice.field)):
        load_prompts(choice.source, 1)
    with at(loaded, ("prompts", "n")):
        scored = load_prompts(choice.source, n)
    if showcase is None:
        return scored
    with at(loaded, ("showcase", "set")):
        shown = load_prompts(showcase.set, showcase.n)
        if {prompt.id for prompt in scored} & {prompt.id for prompt in shown}:
            raise InputError("the showcase and the scored prompts have ids in common")
    return scored + tuple(replace(prompt, tags=(*prompt.tags, SHOWCASE)) for prompt in shown)


def is_scored(prompt: Prompt) -> bool:
    """Say whether a prompt's images are judged; those of the showcase are only looked at."""
    return SHOWCASE not in prompt.tags


def _expand_arms(loaded: LoadedSuite, planner: Planner) -> tuple[ArmSpec, ...]:
    """Return the arms with grids expanded and settings inherited from their reference arms."""
    suite, specs = loaded.suite, {}
    _check_model_settings(loaded, planner)
    for name in suite.arms:
        inherited = _inherited(loaded, name)
        for arm_name, changes in _grid(suite, name):
            if not re.fullmatch(ARM_NAME, arm_name):
                message = f'the grid makes an arm "{arm_name[:80]}", which is no name for an arm'
                raise loaded.document.error(("arms", name, "grid"), message)
            if arm_name in specs:
                raise loaded.document.error(("arms", name), f'two arms are called "{arm_name}"')
            specs[arm_name] = ArmSpec(
                name=arm_name,
                reference=suite.arms[name].reference,
                changes=changes,
                settings=_settings(
                    loaded, planner, name, _changed(loaded, name, inherited, changes)
                ),
            )
    return tuple(specs.values())


def _places(suite: Suite) -> dict[str, Path]:
    """Return where each arm, grids expanded, stands in the suite."""
    return {arm: ("arms", name) for name in suite.arms for arm, _ in _grid(suite, name)}


def arm_names(suite: Suite) -> list[str]:
    """Return the names of all arms of a suite, grids expanded."""
    return [name for arm in suite.arms for name, _ in _grid(suite, arm)]


def _inherited(loaded: LoadedSuite, name: str) -> dict[str, Any]:
    """Return the settings of the reference arm; an arm differs from it in its changes alone."""
    suite, chain = loaded.suite, [name]
    path: Path = ("arms", name, "reference")
    while (reference := suite.arms[chain[-1]].reference) is not None:
        if reference not in suite.arms or suite.arms[reference].grid:
            plain = [other for other, arm in suite.arms.items() if not arm.grid and other != name]
            hint = nearest(reference, plain)
            raise loaded.document.error(path, f'reference "{reference}" is no single arm{hint}')
        if reference in chain:
            raise loaded.document.error(
                path, f'"{reference}" is, through others, its own reference'
            )
        chain.append(reference)
    settings = suite.model.settings
    for ancestor in reversed(chain[1:]):
        settings = _changed(loaded, ancestor, settings, suite.arms[ancestor].changes)
    return {**settings, **settings_for(loaded, name)}


def _changed(
    loaded: LoadedSuite, arm: str, settings: Mapping[str, Any], changes: Mapping[str, Any]
) -> dict[str, Any]:
    """Return an arm's inherited settings with its own on top."""
    model = loaded.suite.model
    with at(loaded, ("arms", arm)):
        return apply_changes(settings, changes, {**model.settings, MODEL: model.name})


def _grid(suite: Suite, name: ArmName) -> list[tuple[str, dict[str, Any]]]:
    arm = suite.arms[name]
    if not arm.grid:
        return [(name, arm.changes)]
    cells = itertools.product(*arm.grid.values())
    return [
        ("-".join([name, *map(str, cell)]), arm.changes | dict(zip(arm.grid, cell, strict=True)))
        for cell in cells
    ]


def _settings(
    loaded: LoadedSuite, planner: Planner, arm: str, changes: Mapping[str, Any]
) -> dict[str, Any]:
    try:
        return planner.resolve_settings(changes)
    except ValueError as error:
        named = {MODEL: changes[MODEL]} if MODEL in changes else {}
        raise loaded.document.error(_guilty(loaded, planner, arm, named), str(error)) from None


def _check_model_settings(loaded: LoadedSuite, planner: Planner) -> None:
    """Check them by themselves: arms that all override a wrong one would hide it."""
    for name, value in loaded.suite.model.settings.items():
        try:
            planner.resolve_settings({name: value})
        except ValueError as error:
            raise loaded.document.error(("model", name), str(error)) from None


def _guilty(loaded: LoadedSuite, planner: Planner, arm: str, named: Mapping[str, Any]) -> Path:
    """Return the place of the setting that the model refuses, or of the arm.

    ``named`` holds the arm's own model, where it has one.
    """
    candidates: list[tuple[Path, dict[str, Any]]] = [(("arms", arm, MODEL), {})]
    for key, value in loaded.suite.arms[arm].changes.items():
        candidates.append((("arms", arm, key), {key: value}))
    for key, values in loaded.suite.arms[arm].grid.items():
        candidates += [(("arms", arm, "grid", key), {key: value}) for value in values]
    for path, change in candidates:
        try:
            planner.resolve_settings({**named, **change})
        except ValueError:
            return path
    return ("arms", arm)


def _choose(specs: tuple[ArmSpec, ...], names: Sequence[str]) -> tuple[ArmSpec, ...]:
    known = {spec.name: spec for spec in specs}
    for name in names:
        if name not in known:
            raise InputError(f'--arm: no arm "{name}"{nearest(name, known)}')
    chosen = [spec for spec in specs if not names or spec.name in names]
    kept = {spec.name for spec in chosen}
    return tuple(
        spec if spec.reference in kept or spec.reference is None else _alone(spec)
        for spec in chosen
    )


def _alone(spec: ArmSpec) -> ArmSpec:
    return ArmSpec(name=spec.name, reference=None, changes=spec.changes, settings=spec.settings)


def target_size(prompt: Prompt, sizes: Mapping[str, int]) -> int:
    """Return the largest size that any of a prompt's slices asks for, in pixels."""
    asked = [size for tag, size in sizes.items() if tag == ALL or tag in prompt.tags]
    return max(asked, default=SMALLEST)
