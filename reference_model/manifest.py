"""What a folder of weights holds, read without torch: configs, vocabularies and hashes.

    weights/<name>/manifest.json        {"format", "name", "parts": {part: {kind, file, sha256,
    config, ...}}} weights/<name>/<part>.safetensors

A plan needs hashes, not weights, so it can be made (and found to be cached) without loading torch.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FORMAT = 1
BUNDLED = Path(__file__).parent / "weights"


class CheckpointError(ValueError):
    """Weights are missing, damaged or not ours; the message names the file and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One network's weights: its kind, architecture, vocabulary and hash.

    ``training`` tells where it came from (steps, images, seconds, command); it decides nothing.
    """

    kind: str
    file: str
    sha256: str
    config: dict[str, Any]
    vocabulary: tuple[int, ...] = ()
    training: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A named set of weights and where it lies."""

    name: str
    folder: Path
    parts: dict[str, Part]

    def part(self, name: str) -> Part:
        """Return a part by name.

        Raises:
            CheckpointError: these weights have no such part.
        """
        if name not in self.parts:
            raise CheckpointError(
                f"weights {self.name!r} have no part {name!r}; "
                f"they have {', '.join(sorted(self.parts))}"
            )
        return self.parts[name]

    def path(self, name: str) -> Path:
        """Return where a part's tensors lie."""
        return self.folder / self.part(name).file


def user_folder() -> Path:
    """Return where weights that are not bundled lie (DALLE2EVAL_WEIGHTS, else the user cache)."""
    if custom := os.environ.get("DALLE2EVAL_WEIGHTS"):
        return Path(custom)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "dalle2eval" / "weights"


def available() -> dict[str, Path]:
    """Return the names of all weights with their folders; the bundled ones come first."""
    found: dict[str, Path] = {}
    for root in (BUNDLED, user_folder()):
        if root.is_dir():
            for path in sorted(root.glob("*/manifest.json")):
                found.setdefault(path.parent.name, path.parent)
    return found


def read_manifest(name: str | Path) -> Manifest:
    """Read the manifest of weights by name, or from a folder.

    Raises:
        CheckpointError: no such weights (near matches are named), or the manifest is damaged.
    """
    known = available()
    folder = known.get(str(name)) or Path(name)
    path = folder / "manifest.json"
    if not path.is_file():
        near = difflib.get_close_matches(str(name), known) or sorted(known)
        raise CheckpointError(f"no weights named {str(name)!r}; there are: {', '.join(near)}")
    try:
        data = json.loads(path.read_text())
        if data["format"] != FORMAT:
            raise CheckpointError(f"{path}: format {data['format']}; this release reads {FORMAT}")
        parts = {key: _part(value, path) for key, value in data["parts"].items()}
        return Manifest(name=data["name"], folder=folder, parts=parts)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path} is damaged: {error}") from None


def _part(data: dict[str, Any], path: Path) -> Part:
    part = Part(**{**data, "vocabulary": tuple(data.get("vocabulary", ()))})
    if Path(part.file).name != part.file:
        raise CheckpointError(
            f"{path}: file {part.file!r} must be a plain name beside the manifest"
        )
    return part


def file_sha256(path: Path) -> str:
    """Return the hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(manifest: Manifest, name: str) -> None:
    """Check a part's file against its recorded hash.

    Raises:
        CheckpointError: the file is missing, or its bytes are not those of the manifest.
    """
    path, part = manifest.path(name), manifest.part(name)
    if not path.is_file():
        raise CheckpointError(
            f"{path} is missing; reinstall the package or import the weights again"
        )
    found = file_sha256(path)
    if found != part.sha256:
        raise CheckpointError(
            f"{path} is damaged or altered: sha256 {found[:16]}, expected {part.sha256[:16]}"
        )
