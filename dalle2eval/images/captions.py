"""Which caption belongs to which training picture: a ``.txt`` of the same stem, or a manifest.

    dog.png + dog.txt                                          in folders, zips and webdataset tars
    captions.jsonl   {"file": "a/dog.png", "caption": "a dog"}  on each line, in the folder itself
    captions.csv     columns file, caption (a header names them)

``metadata.jsonl`` and ``metadata.csv`` with ``file_name`` and ``text`` (Hugging Face's image
folders) are read too. A picture without a caption is refused: nothing is guessed.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from dalle2eval.images.archives import Collection
from dalle2eval.images.decoding import BadImage
from dalle2eval.records import InputError, check_text
from dalle2eval.spelling import nearest

MANIFESTS = ("captions.jsonl", "captions.csv", "metadata.jsonl", "metadata.csv")
FILE_COLUMNS = ("file", "file_name")
CAPTION_COLUMNS = ("caption", "text", "prompt")
MAX_CAPTION = 10_000  # characters: a longer one is a damaged file, not a caption
SHOWN = 60  # characters of a foreign text in a message


def captions_of(collection: Collection) -> dict[str, str]:
    """Return the caption of every picture of a collection, by the picture's name.

    Raises:
        InputError: a manifest is damaged or names an unknown picture, or a picture has no caption.
    """
    manifest = next(
        (path for name in MANIFESTS if (path := collection.place / name).is_file()), None
    )
    found = _beside(collection) if manifest is None else _listed(collection, manifest)
    without = [name for name in collection.names if not found.get(name)]
    if without and manifest is None:
        raise InputError(
            f"{collection.place}: {len(without)} of {len(collection.names)} images have no caption,"
            f' first "{without[0]}"; expected a .txt of the same stem, or one of '
            f"{', '.join(MANIFESTS)} in the folder"
        )
    return {name: found[name] for name in collection.names if found.get(name)}


def _beside(collection: Collection) -> dict[str, str]:
    texts = {str(PurePosixPath(name).with_suffix("")): name for name in collection.texts}
    captions = {}
    for name in collection.names:
        text = texts.get(str(PurePosixPath(name).with_suffix("")))
        if text is not None:
            captions[name] = _decoded(collection, text)
    return captions


def _decoded(collection: Collection, name: str) -> str:
    place = f"{collection.place}: {name}"
    try:
        return _checked(collection.texts[name]().decode("utf-8-sig"), place)
    except UnicodeDecodeError as error:
        raise InputError(f"{place}: not UTF-8 text (byte {error.start})") from None
    except BadImage as error:
        raise InputError(f"{place}: {error}") from None


def _listed(collection: Collection, manifest: Path) -> dict[str, str]:
    """Return the captions of a manifest; pictures that it does not name are not trained on."""
    known, captions = set(collection.names), {}
    try:
        text = manifest.read_text(encoding="utf-8-sig")
    except (UnicodeDecodeError, OSError) as error:
        raise InputError(f"{manifest}: cannot be read as UTF-8 ({str(error)[:SHOWN]})") from None
    for line, row in _rows(text, manifest):
        place = f"{manifest}:{line}"
        file, caption = (_cell(row, columns, place) for columns in (FILE_COLUMNS, CAPTION_COLUMNS))
        name = PurePosixPath(file.replace("\\", "/")).as_posix()
        if name not in known:
            raise InputError(f'{place}: no image "{name[:SHOWN]}"{nearest(name, known)}')
        if name in captions:
            raise InputError(f'{place}: a second row about "{name[:SHOWN]}"')
        captions[name] = _checked(caption, place)
    if not captions:
        raise InputError(f"{manifest}: holds no caption")
    return captions


def _rows(text: str, path: Path) -> Iterator[tuple[int, Mapping[Any, Any]]]:
    if path.suffix == ".csv":
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        try:
            yield from ((reader.line_num, row) for row in reader)
        except csv.Error as error:
            raise InputError(f"{path}:{reader.line_num}: not CSV ({error})") from None
        return
    for line, content in enumerate(text.split("\n"), 1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except (ValueError, RecursionError):
            raise InputError(f"{path}:{line}: not JSON: {content[:SHOWN]!r}") from None
        if not isinstance(row, dict):
            raise InputError(f"{path}:{line}: expected an object with file and caption")
        yield line, row


def _cell(row: Mapping[Any, Any], columns: tuple[str, ...], place: str) -> str:
    value = next((row[name] for name in columns if row.get(name)), None)
    if not isinstance(value, str):
        raise InputError(f"{place}: no {columns[0]} (columns read: {', '.join(columns)})")
    return value


def _checked(text: str, place: str) -> str:
    text = " ".join(text.split())
    if len(text) > MAX_CAPTION:
        raise InputError(f"{place}: a caption of {len(text)} characters, at most {MAX_CAPTION}")
    return check_text(text, f"{place}: caption")
