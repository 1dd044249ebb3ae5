"""Every file is looked at before the work begins, and every bad one is named.

The look is cheap (header, checksums, end of file); pixels are decoded later, once. The hash of
every file's bytes is taken on the way: it names the collection in the plan.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dalle2eval.images.archives import Collection
from dalle2eval.images.decoding import BadImage, check
from dalle2eval.records import InputError, fingerprint


class BadFilesError(InputError):
    """Files cannot be scored; ``details`` names every one of them with its reason."""

    def __init__(self, place: Path, bad: Sequence[BadFile], asked: int) -> None:
        self.details = tuple(f"{place}: {file.name}: {file.reason}" for file in bad)
        files = "1 file" if asked == 1 else f"{asked} files"
        super().__init__(
            f"{place}: {len(bad)} of {files} cannot be scored, first {bad[0].name}: "
            f"{bad[0].reason}; mend them, or count them out with --skip-bad"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BadFile:
    """A file that cannot be scored, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What the first look found.

    Attributes:
        bad: files that cannot be scored.
        content: SHA-256 over the names and bytes of all files.
    """

    bad: tuple[BadFile, ...]
    content: str


def check_files(collection: Collection, names: Sequence[str]) -> Checked:
    """Look at the named files of a collection."""
    bad: list[BadFile] = []
    hashes: list[tuple[str, str]] = []
    for name in names:
        try:
            content = collection.read(name)
            hashes.append((name, hashlib.sha256(content).hexdigest()))
            check(content)
        except BadImage as error:
            bad.append(BadFile(name=name, reason=str(error)))
    return Checked(bad=tuple(bad), content=fingerprint([hashes, [b.name for b in bad]]))


def refuse_bad(collection: Collection, bad: Sequence[BadFile], asked: int) -> None:
    """Refuse to go on where a file is bad.

    Raises:
        BadFilesError: there is one.
    """
    if bad:
        raise BadFilesError(collection.place, bad, asked)
