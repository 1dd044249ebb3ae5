"""The files of a run folder as plain data and as records of the right types, or one clear line.

What is wrong with a file is told with its name (`InputError`, exit 2), not by Python's errors.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import pyarrow
import pyarrow.parquet

from dalle2eval.records import InputError

Row = Mapping[str, Any]
Record = TypeVar("Record")


def read_bytes(path: Path) -> bytes:
    """Return a file's content."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(
            f"{path}: missing; is the run finished? `dalle2eval run` resumes it"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def read_json(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds."""
    content = read_bytes(path)
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: damaged, not JSON ({one_line(error)})") from None
    if not isinstance(data, dict):
        raise InputError(f"{path}: damaged, expected a JSON object")
    return data


def read_rows(path: Path, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return the named columns of a Parquet file of a run folder, as rows.

    Raises:
        InputError: the file is missing or damaged, or lacks a column.
    """
    try:
        table = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(read_bytes(path))).read()
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: damaged, not Parquet ({one_line(error)[:120]})") from None
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise InputError(f"{path}: damaged, lacks the column {', '.join(missing)}")
    rows: list[dict[str, Any]] = table.select(list(columns)).to_pylist()
    return rows


def build(path: Path, kind: type[Record], row: Row) -> Record:
    """Make a record of a file's row.

    Raises:
        InputError: a field is missing, unknown or of another type, or the record's own checks (no
            NaN, no number without n) refuse it.
    """
    try:
        record = kind(**row)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: damaged, {one_line(error)}") from None
    for name, hint in _types(kind.__module__, kind.__qualname__).items():
        value = getattr(record, name)
        if not _is_a(value, hint):
            raise InputError(
                f"{path}: damaged, {name} of a {kind.__name__} is {str(value)[:60]!r} "
                f"(a {type(value).__name__})"
            )
    return record


def names(kind: type[Any]) -> list[str]:
    """Return the names of a record's fields."""
    return [item.name for item in fields(kind)]


def one_line(error: Exception) -> str:
    """Return an error's text on one line."""
    return " ".join(str(error).split())


@cache
def _types(module: str, name: str) -> dict[str, Any]:
    return get_type_hints(getattr(sys.modules[module], name))


def _is_a(value: Any, hint: Any) -> bool:
    """Say whether a value of a file is of a field's type."""
    outer, inner = get_origin(hint), get_args(hint)
    if outer is UnionType:
        return any(_is_a(value, part) for part in inner)
    if outer is not None:
        return isinstance(value, outer) and all(
            _is_a(each, part) for each, part in _members(value, inner)
        )
    if hint in (int, float):
        return _is_number(value, (int, float) if hint is float else int)
    return hint is Any or isinstance(value, hint)


def _members(value: Any, inner: tuple[Any, ...]) -> Iterator[tuple[Any, Any]]:
    """Yield what a tuple or a mapping holds, each with its type."""
    if isinstance(value, Mapping):
        for pair in value.items():
            yield from zip(pair, inner, strict=True)
    else:
        yield from ((each, inner[0]) for each in value)


def _is_number(value: Any, kinds: Any) -> bool:
    """Say whether a value is a finite number, which a bool is not."""
    is_number = isinstance(value, kinds) and not isinstance(value, bool)
    return is_number and -sys.float_info.max <= value <= sys.float_info.max
