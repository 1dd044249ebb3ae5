"""From a suite's name or file to a validated `Suite`; every error names file, line and column."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from ablations.located_yaml import Document, Place, read_document
from ablations.suite import (
    Arm,
    Cost,
    Finding,
    ModelChoice,
    PromptChoice,
    ReferenceImages,
    Scale,
    Showcase,
    Suite,
    TrainingChoice,
)
from dalle2eval.records import InputError
from dalle2eval.spelling import nearest

SUITES_FOLDER = Path(__file__).parent / "suites"
SUFFIXES = (".yaml", ".yml")
SHOWN = 60  # characters of a value in a message
_UNSET = object()
_SCALED = (
    ("prompts", "n"),
    ("samples_per_prompt",),
    ("training", "steps"),
)  # what a scale changes, besides the cost

# Which part stands at which key, for near matches of a misspelled key.
_PARTS: dict[str, type[BaseModel]] = {
    "finding": Finding,
    "model": ModelChoice,
    "prompts": PromptChoice,
    "showcase": Showcase,
    "reference_images": ReferenceImages,
    "training": TrainingChoice,
    "arms": Arm,
    "cost": Cost,
    "scales": Scale,
}

AS_WRITTEN = "quick"  # the scale of a suite as it is written


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """One field that ``--set`` changed, in words.

    Attributes:
        path: such as ``model.decoder_steps``.
        value: what it is now.
        instead_of: ``the suite says 20``, or that the suite does not set it.
    """

    path: str
    value: str
    instead_of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSuite:
    """A valid suite with its name and the document that errors point into.

    ``overrides`` are the fields that are not as the suite was written at its ``scale``.
    """

    name: str
    suite: Suite
    document: Document
    overrides: tuple[Override, ...] = ()
    scale: str = AS_WRITTEN


def list_suites() -> list[str]:
    """Return the names of the built-in suites."""
    return sorted(path.stem for path in SUITES_FOLDER.glob("*.yaml"))


def load_suite(
    name_or_file: str, overrides: Sequence[str] = (), scale: str | None = None
) -> LoadedSuite:
    """Read a built-in suite or a file, bring it to a scale, and apply ``--set PATH=VALUE``.

    Args:
        name_or_file: a built-in suite's name, or a YAML file.
        overrides: ``PATH=VALUE`` for any field; they have the last word.
        scale: one of the suite's ``scales``; ``quick`` and None take it as it is written.

    Raises:
        InputError: no such suite or scale, not a suite, or an override that fits nothing.
    """
    path = _find(name_or_file)
    document = read_document(_read_text(path), _origin(path))
    if not isinstance(document.data, dict):
        raise document.error((), "a suite is a mapping that begins with `question:`")
    written = copy.deepcopy(document.data)
    if scale is not None:
        _bring_to_scale(document, path.stem, scale)
    paths = dict.fromkeys([*_SCALED, *(_apply(override, document) for override in overrides)])
    return LoadedSuite(
        name=path.stem,
        suite=_validate(document),
        document=document,
        overrides=tuple(_changes(paths, written, document.data)),
        scale=scale or AS_WRITTEN,
    )


def _find(name_or_file: str) -> Path:
    builtin = SUITES_FOLDER / f"{name_or_file}.yaml"
    if name_or_file in list_suites():
        return builtin
    path = Path(name_or_file)
    if _is_file(path):
        return path
    if path.suffix in SUFFIXES:
        raise InputError(f"no suite file {name_or_file}")
    raise InputError(f'no suite "{name_or_file[:80]}"{nearest(name_or_file, list_suites())}')


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long, or with a zero byte, is no file
        return False


def _origin(path: Path) -> str:
    return path.name if path.parent == SUITES_FOLDER else str(path)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start})") from None


def _bring_to_scale(document: Document, name: str, scale: str) -> None:
    """Put a scale's numbers in the place of the suite's own."""
    scales = {str(key): chosen for key, chosen in _validate(document).scales.items()}
    if scale == AS_WRITTEN:
        return
    if scale not in scales:
        allowed = ", ".join([*scales, AS_WRITTEN])
        raise InputError(f'--scale {scale}: suite "{name}" has no such scale; allowed: {allowed}')
    chosen, data = scales[scale], document.data
    data["prompts"]["n"] = chosen.n
    data["samples_per_prompt"] = chosen.samples_per_prompt
    data["cost"] = chosen.cost.model_dump()
    changed: list[tuple[str, ...]] = [("prompts", "n"), ("samples_per_prompt",), ("cost",)]
    if chosen.steps is not None and "training" in data:
        data["training"]["steps"] = chosen.steps
        changed.append(("training", "steps"))
    for path in changed:
        _move_places(document, path, document.place(("scales", scale, path[-1])))


def _changes(paths: Iterable[tuple[str, ...]], written: Any, changed: Any) -> Iterator[Override]:
    for path in paths:
        before, now = _value_at(written, path), _value_at(changed, path)
        if before != now:
            told = (
                "the suite does not set it" if before is _UNSET else f"the suite: {_brief(before)}"
            )
            yield Override(path=".".join(path), value=_brief(now), instead_of=told)


def _value_at(data: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(data, dict) or key not in data:
            return _UNSET
        data = data[key]
    return data


def _brief(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= SHOWN else _shown(value)


def _apply(override: str, document: Document) -> tuple[str, ...]:
    """Set one field of the document, as ``model.decoder_steps=2``, and return its path."""
    dotted, equals, text = override.partition("=")
    if not equals or not all(dotted.split(".")):
        raise InputError(f'--set {override}: expected PATH=VALUE, as "model.decoder_steps=2"')
    *parents, last = dotted.split(".")
    target = document.data
    for depth, key in enumerate(parents):
        inner = target.setdefault(key, {})
        if not isinstance(inner, dict):
            raise InputError(f"--set {override}: {'.'.join(parents[: depth + 1])} has no parts")
        target = inner
    try:
        target[last] = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise InputError(f"--set {override}: the value is not valid YAML") from None
    _move_places(document, (*parents, last), Place(origin=f"--set {dotted}"))
    return (*parents, last)


def _move_places(document: Document, path: tuple[str, ...], place: Place) -> None:
    for known in [known for known in document.places if known[: len(path)] == path]:
        del document.places[known]
    document.places[path] = place


def _validate(document: Document) -> Suite:
    try:
        return Suite.model_validate(document.data)
    except ValidationError as error:
        # A misspelled field is missing too, and its own name tells more.
        problems = error.errors(include_url=False)
        problem = min(problems, key=lambda each: each["type"] != "extra_forbidden")
        raise _explain(document, problem) from None


def _explain(document: Document, problem: Any) -> InputError:
    # Pydantic marks a bad key by an extra "[key]" at the end of the location.
    path = tuple(part for part in problem["loc"] if part != "[key]")
    dotted = ".".join(str(part) for part in path)
    if problem["type"] == "extra_forbidden":
        hint = nearest(str(path[-1]), sorted(_siblings(path)))
        return document.error(path, f'no field "{dotted}"{hint}')
    if problem["type"] == "missing":
        return document.error(path, f"the field {dotted} is missing")
    if path and path[0] == "arms" and problem["type"] == "string_pattern_mismatch":
        return document.error(
            path, "an arm's name is of letters, digits and . _ = + - (at most 64)"
        )
    message = problem["msg"].removeprefix("Value error, ").split(" or instance of")[0]
    message = message[0].lower() + message[1:]
    return document.error(path, f"{dotted}: {message}, got {_shown(problem['input'])}")


def _siblings(path: tuple[Any, ...]) -> list[str]:
    owner: type[BaseModel] = Suite if len(path) == 1 else _PARTS[path[0]]
    return list(owner.model_fields)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
