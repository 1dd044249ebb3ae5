"""Fields of recipe or architecture, changed by their paths: ``loop.steps``, ``decoder.target``.

One word for the command line (``--set PATH=VALUE``) and for the arms of an ablation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from reference_model.config import StackConfig
from reference_model.spelling import nearest
from reference_model.training.recipes import StageRecipe

# What names a part or is a structure of its own is no setting.
RECIPE_FIELDS = ("loop", "noise_shift", "mix", "embeddings", "loss_weighting")
STACK_FIELDS = ("clip", "prior", "decoder", "upsampler_256", "upsampler_1024")


def parse_changes(texts: Sequence[str]) -> dict[str, Any]:
    """Return {path: value} of ``PATH=VALUE`` texts; values are JSON, or else text.

    Raises:
        ValueError: a text has no ``=``.
    """
    changes: dict[str, Any] = {}
    for text in texts:
        path, equals, value = text.partition("=")
        if not equals or not path:
            raise ValueError(f"--set {text}: expected PATH=VALUE, such as loop.steps=1000")
        changes[path.strip()] = _parsed(value.strip())
    return changes


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def apply_changes(
    stack: StackConfig, recipe: StageRecipe, changes: Mapping[str, Any]
) -> tuple[StackConfig, StageRecipe]:
    """Return an architecture and a recipe with changed fields.

    Raises:
        ValueError: a field is unknown (near matches are named) or a value is not allowed.
    """
    for path, value in changes.items():
        first = path.partition(".")[0]
        if first in RECIPE_FIELDS:
            recipe = _changed(recipe, path, value, path)
        elif first in STACK_FIELDS:
            stack = _changed(stack, path, value, path)
        else:
            raise ValueError(f"no setting {path!r}{nearest(path, settable(stack, recipe))}")
    return stack, recipe


def settable(stack: StackConfig, recipe: StageRecipe) -> list[str]:
    """Return the paths of all fields that may be changed."""
    return [
        path
        for config, names in ((recipe, RECIPE_FIELDS), (stack, STACK_FIELDS))
        for name in names
        for path in _paths(name, getattr(config, name))
    ]


def _paths(path: str, value: Any) -> list[str]:
    if is_dataclass(value) and not isinstance(value, type):
        inner = [(f.name, getattr(value, f.name)) for f in fields(value)]
    elif isinstance(value, dict):
        inner = list(value.items())
    else:
        return [path]
    return [longer for name, v in inner for longer in _paths(f"{path}.{name}", v)]


def _changed(config: Any, rest: str, value: Any, path: str) -> Any:
    """Return a dataclass or dict with the field at ``rest`` changed."""
    name, _, below = rest.partition(".")
    names = list(config) if isinstance(config, dict) else [f.name for f in fields(config)]
    if name not in names:
        before = path.removesuffix(rest)
        raise ValueError(f"no setting {path!r}{nearest(path, [before + n for n in names])}")
    old = config[name] if isinstance(config, dict) else getattr(config, name)
    structure = is_dataclass(old) or isinstance(old, dict)
    if structure != bool(below):
        raise ValueError(
            f"{path} is {'a structure; set a field of it' if structure else 'one value'}"
        )
    if below:
        new = _changed(old, below, value, path)
    else:
        hint = type(old) if isinstance(config, dict) else get_type_hints(type(config))[name]
        new = _typed(hint, value, path)
    return {**config, name: new} if isinstance(config, dict) else replace(config, **{name: new})


def _typed(hint: Any, value: Any, path: str) -> Any:
    """Return a value as a field's type, or refuse it."""
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise ValueError(f"{path} is {value!r}{nearest(str(value), get_args(hint))}")
        return value
    if get_origin(hint) is tuple:
        if not isinstance(value, list | tuple) or not all(_is_whole(v) for v in value):
            raise ValueError(f"{path} is {value!r}; allowed: a list of whole numbers, as [1, 2]")
        return tuple(value)
    fits = {
        bool: isinstance(value, bool),
        int: _is_whole(value),
        float: _is_whole(value) or isinstance(value, float),
        str: isinstance(value, str),
    }
    if not fits[hint]:
        kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
        raise ValueError(f"{path} is {value!r}; allowed: {kinds[hint]}")
    return hint(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
