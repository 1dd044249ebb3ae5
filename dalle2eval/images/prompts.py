"""Which prompt belongs to which image: by a manifest's file names, by id, or line by line.

    .jsonl  {"id": "p1", "file": "a/1.png", "prompt": "a red circle"} on each line
    .csv    columns id, file, prompt (a header names them)
    .txt    one prompt a line, for the files in the order of their names (2.png before 10.png)

Without ``file``, a row takes the images whose name is its id: ``p1.png``, or ``p1-0.png``,
``p1_1.png`` where a prompt has several. Without ``id``, the file's name is the id. Images of one
id are told apart by seeds, counted in the order of the rows or of the names. Nothing is guessed: a
file without a prompt and a prompt without a file are refused.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from dalle2eval.records import InputError, SampleKey, check_text
from dalle2eval.spelling import nearest

KINDS = (".jsonl", ".csv", ".txt")
COLUMNS = ("id", "file", "prompt")
MAX_TEXT = 10_000  # characters: a longer one is a damaged file, not a prompt
MAX_HINTED = 10_000  # names among which a near match is looked for
SHOWN = 60  # characters of a foreign text in a message
_NUMBERED = re.compile(r"(?P<id>.+)[-_](?P<number>\d{1,9})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One image to score: its name in the collection, its key, and its prompt (None: unknown)."""

    name: str
    key: SampleKey
    prompt: str | None


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    id: str | None
    file: str | None
    prompt: str


def natural_order(names: Iterable[str]) -> list[str]:
    """Return names sorted with their numbers by value.

    >>> natural_order(["10.png", "2.png"])
    ['2.png', '10.png']
    """
    return sorted(names, key=_natural_key)


def _natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(0, int(p), "") if p[0].isdecimal() else (1, 0, p) for p in parts], name


def items_without_prompts(names: Sequence[str]) -> tuple[Item, ...]:
    """Return each image as its own prompt of unknown text, named by its file."""
    return tuple(
        Item(name=name, key=SampleKey(prompt_id=name, seed=0), prompt=None)
        for name in natural_order(names)
    )


def items_for(names: Sequence[str], manifest: str | Path) -> tuple[Item, ...]:
    """Return the images of a collection with their prompts.

    Args:
        names: of the files in the collection.
        manifest: a .jsonl, .csv or .txt file (see the top of this module).

    Raises:
        InputError: the manifest is missing, damaged, or does not fit the files; names file, line
            and what is allowed.
    """
    path = Path(manifest)
    if path.suffix.lower() not in KINDS:
        raise InputError(f"{path}: prompts come as {', '.join(KINDS)}")
    text = _read(path)
    if path.suffix.lower() == ".txt":
        return _by_line(names, text, path)
    rows = _jsonl(text, path) if path.suffix.lower() == ".jsonl" else _csv(text, path)
    if not rows:
        raise InputError(f"{path}: holds no prompt")
    with_file = [row for row in rows if row.file is not None]
    if with_file and len(with_file) < len(rows):
        line = next(row.line for row in rows if row.file is None)
        raise InputError(f"{path}:{line}: no file, though other rows have one")
    pairs = _by_file(names, rows, path) if with_file else _by_id(names, rows, path)
    return _numbered(pairs, path)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def _by_line(names: Sequence[str], text: str, path: Path) -> tuple[Item, ...]:
    lines = text.split("\n")
    if lines and not lines[-1].strip():
        lines.pop()
    if len(lines) != len(names):
        raise InputError(
            f"{path}: {len(lines)} lines for {len(names)} images; expected one prompt a line, "
            "or a .jsonl or .csv that names the files"
        )
    rows = [_row({"prompt": text}, line, path) for line, text in enumerate(lines, 1)]
    width = len(str(len(rows)))
    return tuple(
        Item(name=name, key=SampleKey(prompt_id=f"{row.line:0{width}d}", seed=0), prompt=row.prompt)
        for name, row in zip(natural_order(names), rows, strict=True)
    )


def _jsonl(text: str, path: Path) -> list[_Row]:
    rows = []
    for line, content in enumerate(text.split("\n"), 1):
        if not content.strip():
            continue
        try:
            data = json.loads(content)
        except (ValueError, RecursionError):
            raise InputError(f"{path}:{line}: not JSON: {content[:SHOWN]!r}") from None
        if not isinstance(data, dict):
            raise InputError(f"{path}:{line}: expected an object with id, file and prompt")
        rows.append(_row(data, line, path))
    return rows


def _csv(text: str, path: Path) -> list[_Row]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    rows = []
    try:
        for data in reader:
            if None in data:
                raise InputError(f"{path}:{reader.line_num}: more cells than columns")
            filled = {name: value for name, value in data.items() if value}
            rows.append(_row(filled, reader.line_num, path))
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: not CSV ({error})") from None
    return rows


def _row(data: Mapping[Any, Any], line: int, path: Path) -> _Row:
    texts = {name: _text(data.get(name), name, f"{path}:{line}") for name in COLUMNS}
    prompt = (texts["prompt"] or "").strip()
    if not prompt:
        near = difflib.get_close_matches("prompt", [str(name) for name in data], n=1)
        hint = f'; "{near[0][:SHOWN]}" is not read' if near and near[0] != "prompt" else ""
        raise InputError(f"{path}:{line}: no prompt{hint}")
    return _Row(line, texts["id"] or None, texts["file"] or None, prompt)


def _text(value: Any, name: str, place: str) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise InputError(f"{place}: {name} is {str(value)[:SHOWN]!r}; expected text")
    text = None if value is None else str(value)
    if text and len(text) > MAX_TEXT:
        raise InputError(f"{place}: {name} has {len(text)} characters, at most {MAX_TEXT}")
    return text and check_text(text, f"{place}: {name}")


def _by_file(names: Sequence[str], rows: Sequence[_Row], path: Path) -> list[tuple[str, _Row]]:
    known, pairs = set(names), []
    for row in rows:
        name = PurePosixPath((row.file or "").replace("\\", "/")).as_posix()
        if name not in known:
            hint = nearest(name, names) if len(names) <= MAX_HINTED else ""
            raise InputError(f'{path}:{row.line}: no image "{name[:SHOWN]}"{hint}')
        pairs.append((name, row))
    twice = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if twice:
        raise InputError(f'{path}: two rows are about "{twice[0]}"')
    _all_taken(names, {name for name, _ in pairs}, path)
    return pairs


def _by_id(names: Sequence[str], rows: Sequence[_Row], path: Path) -> list[tuple[str, _Row]]:
    ids = {row.id: row for row in rows if row.id is not None}
    if len(ids) < len(rows):
        raise InputError(
            f"{path}: every row needs a file, or an id of its own that names the files"
        )
    found: dict[str, list[str]] = defaultdict(list)
    for name in natural_order(names):
        stem = PurePosixPath(name).stem
        numbered = _NUMBERED.fullmatch(stem)
        if stem in ids:
            found[stem].append(name)
        elif numbered and numbered["id"] in ids:
            found[numbered["id"]].append(name)
    for id_, row in ids.items():
        if id_ not in found:
            raise InputError(f'{path}:{row.line}: no image is named "{id_[:SHOWN]}"')
    _all_taken(names, {name for those in found.values() for name in those}, path)
    return [(name, row) for id_, row in ids.items() for name in found[id_]]


def _all_taken(names: Sequence[str], taken: set[str], path: Path) -> None:
    left = [name for name in names if name not in taken]
    if left:
        raise InputError(
            f'{path}: {len(left)} of {len(names)} images have no prompt, first "{left[0]}"'
        )


def _numbered(pairs: Sequence[tuple[str, _Row]], path: Path) -> tuple[Item, ...]:
    """Give the images of one id their seeds."""
    seen: Counter[str] = Counter()
    texts: dict[str, str] = {}
    items = []
    for name, row in pairs:
        id_ = row.id if row.id is not None else name
        if texts.setdefault(id_, row.prompt) != row.prompt:
            raise InputError(f'{path}:{row.line}: id "{id_[:SHOWN]}" has two different prompts')
        key = SampleKey(prompt_id=id_, seed=seen[id_])
        seen[id_] += 1
        items.append(Item(name=name, key=key, prompt=row.prompt))
    return tuple(items)
