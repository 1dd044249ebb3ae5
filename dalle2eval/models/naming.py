"""How a suite, an arm or a command names a system: ``KIND:PLACE``, or a reference model's name."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from dalle2eval.records import InputError

REFERENCE = "reference"

# What may stand before the colon, with what stands behind it.
FORMS: dict[str, str] = {
    REFERENCE: "reference:NAME",
    "images": "images:DIR",
    "diffusers": "diffusers:PATH",
    "http": "http:URL",
    "python": "python:module.Class",
}
SHOWN = 80  # characters of a foreign text in a message


@dataclass(frozen=True, slots=True)
class SystemName:
    """A system by its kind and its place (a name, a folder, an address, a class)."""

    kind: str
    place: str

    def __str__(self) -> str:
        """Return the text that names it; a reference model goes by its bare name."""
        return self.place if self.kind == REFERENCE else f"{self.kind}:{self.place}"


def parse_name(text: str) -> SystemName:
    """Read the name of a system.

    >>> parse_name("images:samples").kind
    'images'
    >>> str(parse_name("reference:scenes"))
    'scenes'

    Raises:
        InputError: the kind is unknown, or nothing stands behind the colon.
    """
    kind, colon, place = text.partition(":")
    if not colon:
        return SystemName(REFERENCE, text)
    if kind in ("http", "https") and place.startswith("//"):
        raise InputError(f'an image API is named http:URL, as "http:{text[:SHOWN]}"')
    if kind not in FORMS:
        near = difflib.get_close_matches(kind, FORMS, n=1)
        hint = (
            f'did you mean "{FORMS[near[0]]}"?' if near else f"allowed: {', '.join(list_forms())}"
        )
        raise InputError(f'no kind of model "{kind[:SHOWN]}"; {hint}')
    if not place:
        raise InputError(f'"{text}" names nothing; expected {FORMS[kind]}')
    return SystemName(kind, place)


def list_forms() -> list[str]:
    """Return how each kind of system is named."""
    return list(FORMS.values())
