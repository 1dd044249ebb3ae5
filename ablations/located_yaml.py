"""YAML that remembers where everything stood, so that an error names file:line:column.

A node's place is known by its path, such as ``("arms", "prior", "guidance_scale")``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from dalle2eval.records import InputError, check_text

Path = tuple[str | int, ...]

MAX_CHARACTERS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a value came from: ``suite.yaml:4:3`` or ``--set model.steps``."""

    origin: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        """Return the place as compilers write it, one-based."""
        return self.origin if self.line is None else f"{self.origin}:{self.line}:{self.column}"


@dataclass(slots=True, kw_only=True)
class Document:
    """Plain data with the place of every key and every list item."""

    origin: str
    data: Any
    places: dict[Path, Place] = field(default_factory=dict)

    def place(self, path: Path) -> Place:
        """Return the place of the longest known beginning of a path."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return Place(origin=self.origin, line=1, column=1)

    def error(self, path: Path, message: str) -> InputError:
        """Return an error that names the place of a path."""
        return InputError(f"{self.place(path)}: {message}")


def read_document(text: str, origin: str) -> Document:
    """Parse one YAML document of plain data (no tags, no anchors, no duplicate keys).

    Args:
        text: the document.
        origin: what errors call it, such as the file's name.

    Raises:
        InputError: it is no such document; the message begins with ``origin:line:column``.
    """
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"{origin}: is too long for a suite ({len(text)} characters)")
    document = Document(origin=origin, data=None)
    try:
        _refuse_aliases(text, document)
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is not None:
            _note_places(node, (), document)
            document.data = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = _place(origin, mark) if mark else Place(origin=origin)
        raise InputError(f"{place}: not valid YAML: {error.problem}") from None
    except InputError:
        raise
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputError(f"{origin}: not valid YAML: {' '.join(reason.split())}") from None
    return document


def _refuse_aliases(text: str, document: Document) -> None:
    # An alias can make a small file into an endless one, and its place would be ambiguous.
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            place = _place(document.origin, event.start_mark)
            raise InputError(f"{place}: anchors and aliases are not used in suites; write it out")


def _note_places(node: yaml.Node, path: Path, document: Document) -> None:
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            document.places[(*path, index)] = _place(document.origin, item.start_mark)
            _note_places(item, (*path, index), document)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            _note_key(key, path, document)
            _note_places(value, (*path, str(key.value)), document)
    else:
        check_text(node.value, f"{_place(document.origin, node.start_mark)}: a value")


def _note_key(key: yaml.Node, path: Path, document: Document) -> None:
    place = _place(document.origin, key.start_mark)
    if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
        raise InputError(f"{place}: a key must be text; put it in quotes")
    whole = (*path, key.value)
    if whole in document.places:
        first = document.places[whole]
        raise InputError(f"{place}: {key.value!r} is given twice (first in line {first.line})")
    document.places[whole] = place


def _place(origin: str, mark: Any) -> Place:
    return Place(origin=origin, line=mark.line + 1, column=mark.column + 1)
