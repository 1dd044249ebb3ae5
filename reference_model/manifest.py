"""What a folder of weights holds, read without torch: configs, vocabularies and hashes.

    weights/<name>/manifest.json        {"format", "name", "parts": {part: {kind, file, sha256,
    config, ...}}} weights/<name>/<part>.safetensors
    weights/SHA256SUMS                  of each bundled manifest, as `sha256sum` writes them

A plan needs hashes, not weights, so it can be made (and found to be cached) without loading torch.
A part's tensors are nothing without its architecture and vocabulary, so its identity is over all
three; and since anybody can edit a manifest, those of the bundled weights stand in a committed
list, which also tells when bundled weights are gone.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reference_model.spelling import nearest

FORMAT = 1
BUNDLED = Path(__file__).parent / "weights"
SUMS = "SHA256SUMS"  # of the bundled manifests; `just seal-weights` writes it after a training
MANIFEST = "manifest.json"


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

    @property
    def identity(self) -> str:
        """SHA-256 over all that decides what the network computes: file, config, vocabulary."""
        decisive = [self.kind, self.sha256, self.config, self.vocabulary]
        canonical = json.dumps(decisive, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


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
            for path in sorted(root.glob(f"*/{MANIFEST}")):
                found.setdefault(path.parent.name, path.parent)
    return found


def read_manifest(name: str | Path) -> Manifest:
    """Read the manifest of weights by name, or from a folder.

    Raises:
        CheckpointError: no such weights (near matches are named), or the manifest is damaged.
    """
    known = available()
    folder = known.get(str(name)) or Path(name)
    path = folder / MANIFEST
    if not path.is_file():
        raise CheckpointError(f"no weights named {str(name)!r}{nearest(str(name), known)}")
    try:
        data = json.loads(path.read_text())
        if data["format"] != FORMAT:
            raise CheckpointError(f"{path}: format {data['format']}; this release reads {FORMAT}")
        parts = {key: _part(value, path) for key, value in data["parts"].items()}
        return Manifest(name=data["name"], folder=folder, parts=parts)
    except (OSError, KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path} is damaged: {error}") from None


def _part(data: dict[str, Any], path: Path) -> Part:
    part = Part(**{**data, "vocabulary": tuple(data.get("vocabulary", ()))})
    texts = (part.kind, part.file, part.sha256)
    if not isinstance(part.config, dict) or not all(isinstance(text, str) for text in texts):
        raise CheckpointError(f"{path} is damaged: kind, file and sha256 are texts, config is not")
    if Path(part.file).name != part.file:
        raise CheckpointError(
            f"{path}: file {part.file!r} must be a plain name beside the manifest"
        )
    return part


def released() -> dict[str, str]:
    """Return the SHA-256 of every bundled manifest by the name of its weights.

    Raises:
        CheckpointError: the committed list is missing or damaged.
    """
    path = BUNDLED / SUMS
    try:
        rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
        return {Path(file).parent.name: digest for digest, file in rows}
    except (OSError, ValueError):
        raise CheckpointError(
            f"{path} is missing or damaged, so the bundled weights cannot be checked; "
            "reinstall the package"
        ) from None


def verify_release(name: str) -> None:
    """Check that bundled weights are there and that nobody edited their manifest.

    Weights that are not bundled pass: nobody wrote down what they should be.

    Raises:
        CheckpointError: they are gone, or their manifest is not the one of the committed list.
    """
    expected = released().get(name)
    if expected is None:
        return
    path = BUNDLED / name / MANIFEST
    if not path.is_file():
        raise CheckpointError(
            f"the bundled weights {name!r} are gone: {path} is missing; reinstall the package"
        )
    found = file_sha256(path)
    if found != expected:
        raise CheckpointError(
            f"{path} was edited: sha256 {found[:16]}, {SUMS} has {expected[:16]}; reinstall the "
            "package (after a training of your own: just seal-weights)"
        )


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
