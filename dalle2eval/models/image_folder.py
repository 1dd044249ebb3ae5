"""``images:DIR``: anyone's samples, drawn already, matched to a suite's prompts.

By file name: ``<prompt id>-<number>.png`` or ``<prompt id>.png`` (``_`` for ``-`` will do; the
samples of a run folder are named like this; an id is quoted as in a URL where it holds a slash).
By manifest (setting ``manifest``, a file as ``dalle2eval score --prompts`` takes it): by id where
the prompt's id stands there, else by the prompt's exact text. Images of one prompt answer to the
seeds ``first_seed``, ``first_seed + 1`` ... in the order of their names' numbers or of the rows.
Nothing is guessed: a picture that is missing, damaged, too small or not square is told before the
work. Identity: the hash of all files' names and bytes.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import io
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dalle2eval.images import check_files, decode, items_for, open_collection
from dalle2eval.images.checking import refuse_bad
from dalle2eval.images.decoding import FORMATS
from dalle2eval.images.prompts import natural_order
from dalle2eval.models.answers import check_side
from dalle2eval.models.knobs import Knob, deciding, resolve
from dalle2eval.models.one_stage import Wanted
from dalle2eval.protocols import NoiseKey
from dalle2eval.records import InputError

KNOBS: dict[str, Knob] = {
    "manifest": Knob(
        kind=str,
        default=None,
        means="a .jsonl, .csv or .txt that says which prompt belongs to which file",
        decides=False,  # its bytes do, wherever it lies
    ),
    "first_seed": Knob(
        kind=int,
        default=0,
        low=0,
        high=2**31 - 1,
        means="which seed of the suite a prompt's first image answers to",
    ),
}
_NUMBERED = re.compile(r"(?P<id>.+)[-_]\d{1,9}")


class FolderOfImages:
    """Pictures that are there already; see the top of this module."""

    kind = "images"
    seconds_per_image = 0.01

    def __init__(self, place: str) -> None:
        self.name = f"images:{place}"
        self._collection = open_collection(place)
        self._given: dict[tuple[str, ...], NoiseKey] = {}

    @functools.cached_property
    def weights(self) -> str:
        """SHA-256 over the names and bytes of all files.

        Raises:
            BadFilesError: a file is damaged.
        """
        checked = check_files(self._collection, self._collection.names)
        refuse_bad(self._collection, checked.bad, len(self._collection.names))
        return checked.content

    def resolve_settings(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Return every setting with ``changes`` applied; ValueError names what is allowed."""
        return resolve(KNOBS, changes)

    def identity(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings, and the hash of the manifest's bytes."""
        manifest = settings["manifest"]
        return {
            **deciding(KNOBS, settings),
            "manifest": None if manifest is None else _hash_file(Path(manifest)),
        }

    def check_samples(self, samples: Sequence[Wanted], settings: Mapping[str, Any]) -> None:
        """Find the file of every picture and read its size.

        Raises:
            InputError: a picture is missing, or one file would serve two.
            WrongAnswer: a picture is not square, or smaller than asked for.
        """
        for sample in samples:
            file = self._file(sample, settings)
            place = (file, repr(sorted(settings.items())))
            if (other := self._given.setdefault(place, sample.key)) != sample.key:
                raise InputError(
                    f"{self.name}: {file} would serve two prompts, {other[0]!r} and "
                    f"{sample.key[0]!r}; say by a manifest which one is meant"
                )
            with Image.open(io.BytesIO(self._collection.read(file)), formats=FORMATS) as image:
                width, height = image.size
            check_side(height, width, size=sample.size, system=f"{self.name}/{file}")

    def draw(
        self, samples: Sequence[Wanted], settings: Mapping[str, Any]
    ) -> list[NDArray[np.uint8]]:
        """Read the pictures."""
        return [decode(self._collection.read(self._file(one, settings))) for one in samples]

    def _file(self, sample: Wanted, settings: Mapping[str, Any]) -> str:
        files = self._files(sample, settings["manifest"])
        number = sample.key[1] - int(settings["first_seed"])
        if 0 <= number < len(files):
            return files[number]
        last = settings["first_seed"] + len(files) - 1
        raise InputError(
            f"{self.name}: prompt {sample.key[0]!r} has {len(files)} pictures, for the seeds "
            f"{settings['first_seed']} to {last}; seed {sample.key[1]} was asked for"
        )

    def _files(self, sample: Wanted, manifest: str | None) -> list[str]:
        known = self._by_name if manifest is None else self._by_row(manifest)
        id_, text = sample.key[0], sample.text.strip()
        if id_ in known:
            self._check_text(id_, text, manifest)
            return known[id_]
        if manifest is not None and text in (texts := self._by_text(manifest)):
            return texts[text]
        near = difflib.get_close_matches(id_, known, n=1)
        hint = f'; did you mean "{near[0][:80]}"?' if near else ""
        raise InputError(f"{self.name}: no picture of prompt {id_!r} ({text[:60]!r}){hint}")

    def _check_text(self, id_: str, text: str, manifest: str | None) -> None:
        if manifest is not None and (told := self._texts(manifest)[id_]) != text:
            raise InputError(
                f"{manifest}: prompt {id_!r} is {told[:60]!r} there and {text[:60]!r} in the suite"
            )

    @functools.cached_property
    def _by_name(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for name in natural_order(self._collection.names):
            path = PurePosixPath(name)
            for stem in dict.fromkeys((path.stem, path.with_suffix("").as_posix())):
                found[unquote(stem)].append(name)
                if numbered := _NUMBERED.fullmatch(stem):
                    found[unquote(numbered["id"])].append(name)
        return dict(found)

    @functools.cache  # noqa: B019  (an instance lives as long as its run)
    def _by_row(self, manifest: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for item in items_for(self._collection.names, manifest):
            found[item.key.prompt_id].append(item.name)
        return dict(found)

    @functools.cache  # noqa: B019  (an instance lives as long as its run)
    def _texts(self, manifest: str) -> dict[str, str]:
        items = items_for(self._collection.names, manifest)
        return {item.key.prompt_id: (item.prompt or "").strip() for item in items}

    @functools.cache  # noqa: B019  (an instance lives as long as its run)
    def _by_text(self, manifest: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        texts = self._texts(manifest)
        for id_, files in self._by_row(manifest).items():
            found[texts[id_]] += files
        return dict(found)


def _hash_file(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
