"""What there is to choose from, and what is known of each: `dalle2eval list` and `describe`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from dalle2eval.records import InputError
from dalle2eval.spelling import nearest


def list_things(kind: str) -> dict[str, str]:
    """Return the names of a kind of thing, each with a line about it.

    Raises:
        InputError: there is no such kind.
    """
    if kind not in KINDS:
        raise InputError(f'cannot list "{kind}"{nearest(kind, KINDS)}')
    return {name: facts["summary"] for name, facts in KINDS[kind]().items()}


def describe_thing(name: str) -> dict[str, Any]:
    """Return what is known of everything that has this name, by kind when there are several.

    Raises:
        InputError: nothing has this name; the message gives the nearest one.
    """
    things = {kind: things() for kind, things in KINDS.items()}
    found = {kind: known[name] for kind, known in things.items() if name in known}
    if not found:
        every = {thing for known in things.values() for thing in known}
        raise InputError(f'nothing is called "{name}"{nearest(name, every)}')
    return {"name": name, **found}


def _suites() -> dict[str, dict[str, Any]]:
    from ablations.loading import list_suites, load_suite

    found = {}
    for name in list_suites():
        suite = load_suite(name).suite
        facts = suite.model_dump(mode="json", exclude_none=True)
        found[name] = {"summary": suite.question, **facts, "arms": list(suite.arms)}
    return found


def _metrics() -> dict[str, dict[str, Any]]:
    from dalle2eval.metrics import METRICS

    return {name: asdict(info) for name, info in METRICS.items()}


def _probes() -> dict[str, dict[str, Any]]:
    from dalle2eval.probing import describe_studies

    return describe_studies()


def _models() -> dict[str, dict[str, Any]]:
    from ablations.catalogue import list_models, list_weights
    from dalle2eval.models import describe_kinds
    from reference_model.manifest import read_manifest
    from reference_model.settings import SETTINGS, defaults_of

    weights = list_weights()

    def settings(model: str) -> dict[str, Any]:
        defaults = defaults_of(read_manifest(model))
        return {
            name: {**asdict(knob), "default": defaults[name]} for name, knob in SETTINGS.items()
        }

    ours = {
        name: {
            "summary": f"text-to-image weights of {len(weights[name]['parts'])} parts",
            **weights[name],
            "settings": settings(name),
        }
        for name in list_models()
    }
    return {**ours, **describe_kinds()}


def _features() -> dict[str, dict[str, Any]]:
    from ablations.catalogue import JUDGE, SHARED_WORLD, list_weights
    from dalle2eval.features.facts import extractor_facts

    known = list_weights()
    summary = "judge CLIP of the procedural world, 64 px (bundled)"
    scenes = {"summary": summary, "weights": known.get(JUDGE), "note": SHARED_WORLD}
    return {**extractor_facts(), "scenes": scenes}


def _presets() -> dict[str, dict[str, Any]]:
    from reference_model.config import to_json
    from reference_model.presets import PRESETS

    return {
        name: {
            "summary": f"{sum(preset().expected_parameters.values()):,} parameters",
            "parameters": preset().expected_parameters,
            "config": to_json(preset()),
            **_variants(name),
        }
        for name, preset in PRESETS.items()
    }


def _variants(preset: str) -> dict[str, Any]:
    """Return the parts besides a preset's main line, where it has such."""
    from reference_model.config import to_json
    from reference_model.variants import VARIANTS

    if preset not in VARIANTS:
        return {}
    known = VARIANTS[preset]()
    return {"variants": {"parameters": known.expected_parameters, "config": to_json(known)}}


KINDS: dict[str, Callable[[], dict[str, dict[str, Any]]]] = {
    "suites": _suites,
    "metrics": _metrics,
    "probes": _probes,
    "models": _models,
    "features": _features,
    "presets": _presets,
}
