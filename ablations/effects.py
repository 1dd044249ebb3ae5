"""Settings that would change nothing, or cannot be drawn: told before any work.

An arm whose change reaches no stage is its reference twice, at the price of two, and a difference
of zero with an interval. What a setting reaches is asked of the model's own stages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ablations.loading import LoadedSuite
from dalle2eval.models import MODEL
from dalle2eval.protocols import Stage
from dalle2eval.records import ArmSpec

if TYPE_CHECKING:
    from ablations.located_yaml import Path
    from ablations.resolving import Planner

LARGEST_FIRST = (1024, 256, 64)  # pixels

Decisive = tuple[str, dict[str, Any], str]  # of a stage: its name, settings and weights


def check_drawable(
    loaded: LoadedSuite, planner: Planner, arms: Sequence[ArmSpec], place: Mapping[str, Path]
) -> None:
    """Refuse an arm whose settings contradict each other, or ask for what its model cannot do.

    Raises:
        InputError: names the arm's place.
    """
    for arm in arms:
        try:
            _stages(planner, arm.settings, LARGEST_FIRST)
        except ValueError as error:
            raise loaded.document.error(place[arm.name], str(error)) from None


def check_effects(
    loaded: LoadedSuite, planner: Planner, arms: Sequence[ArmSpec], place: Mapping[str, Path]
) -> None:
    """Refuse a change that reaches no picture of its arm, and a model setting that reaches none.

    A change to what the reference arm has too, as a grid may hold it, is no mistake.

    Args:
        loaded: the suite.
        planner: the model.
        arms: all of the suite, grids expanded.
        place: where each arm stands in the suite.

    Raises:
        InputError: names the setting at its place.
    """
    sizes = (max([*loaded.suite.sizes.values(), *_showcase(loaded)]),)
    known = {arm.name: arm for arm in arms}
    for arm in arms:
        base = known[arm.reference or arm.name].settings
        if arm.settings.get(MODEL) == base.get(MODEL):  # another model is a change by itself
            for name in _idle(planner, arm.settings, base, arm.changes, sizes):
                message = _message(arm.settings, name, f"arm {arm.name}")
                raise loaded.document.error((*place[arm.name], name), message)
    _check_model_settings(loaded, planner, arms)


def _showcase(loaded: LoadedSuite) -> list[int]:
    return [loaded.suite.showcase.size] if loaded.suite.showcase is not None else []


def _check_model_settings(loaded: LoadedSuite, planner: Planner, arms: Sequence[ArmSpec]) -> None:
    """Refuse a setting of the whole suite that would reach none of its arms, even drawn large."""
    defaults = planner.resolve_settings({})
    for name in loaded.suite.model.settings:
        carriers = [a for a in arms if a.settings.get(name, defaults[name]) != defaults[name]]
        idle = [_idle(planner, arm.settings, defaults, (name,), LARGEST_FIRST) for arm in carriers]
        if idle and all(idle):
            message = _message(carriers[0].settings, name, "any arm")
            raise loaded.document.error(("model", name), message)


def _message(settings: Mapping[str, Any], name: str, where: str) -> str:
    return f"{name} is {settings[name]!r} and changes nothing in {where}, as the others are set"


def _idle(
    planner: Planner,
    settings: Mapping[str, Any],
    base: Mapping[str, Any],
    names: Iterable[str],
    sizes: Sequence[int],
) -> list[str]:
    """Return the settings that differ from the base's, and whose return to it changes no stage."""
    try:
        here = _stages(planner, settings, sizes)
    except ValueError:
        return []  # what cannot be drawn is refused for that
    differ = [name for name in names if name in settings and settings[name] != base[name]]
    return [name for name in differ if _same(planner, {**settings, name: base[name]}, sizes, here)]


def _same(
    planner: Planner, settings: Mapping[str, Any], sizes: Sequence[int], here: list[Decisive]
) -> bool:
    try:
        return _stages(planner, settings, sizes) == here
    except ValueError:
        return False  # without its change the arm would contradict itself


def _stages(planner: Planner, settings: Mapping[str, Any], sizes: Sequence[int]) -> list[Decisive]:
    """Return what decides a chain's pictures, at the first size that the model makes."""
    for size in sizes[:-1]:
        try:
            return [_decisive(stage) for stage in planner.plan_stages(settings, size)]
        except ValueError:
            continue
    return [_decisive(stage) for stage in planner.plan_stages(settings, sizes[-1])]


def _decisive(stage: Stage) -> Decisive:
    return stage.name, dict(stage.settings), stage.weights
