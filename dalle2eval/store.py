"""Content-addressed artefacts shared by all runs: an address is the hash of what made the value.

An artefact is a value file and, written after it, a ticket with the SHA-256 of the value file;
without a fitting ticket there is no artefact, so a kill between the two, a cut file and a flipped
bit all read as "make it again". Every file appears at once: temporary name, fsync, rename.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dalle2eval.records import InputError

TEMPORARY = ".writing-"  # how names begin of files that a kill may leave behind

Kind = Literal["array", "images", "json", "part"]


class DiskFullError(OSError):
    """The disk that holds the store or the run folder is full (exit code 1)."""


@dataclass(frozen=True, slots=True)
class _Codec:
    suffix: str
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """Return a uint8 [h, w, 3] image as PNG; equal pixels give equal bytes."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="png", compress_level=3)
    return buffer.getvalue()


def _encode_array(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _decode_array(content: bytes) -> NDArray[Any]:
    return np.load(io.BytesIO(content), allow_pickle=False)  # type: ignore[no-any-return]


def _encode_images(images: NDArray[np.uint8]) -> bytes:
    # One PNG, the square images stacked from top to bottom: one atomic file, and good to look at.
    n, height, width, channels = images.shape
    if height != width or channels != 3 or images.dtype != np.uint8:  # noqa: PLR2004
        raise ValueError(f"expected square uint8 RGB images, got {images.dtype} {images.shape}")
    return encode_png(images.reshape(n * height, width, channels))


def _decode_images(content: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(content)) as strip:
        pixels = np.array(strip.convert("RGB"), dtype=np.uint8)
    return pixels.reshape(-1, pixels.shape[1], pixels.shape[1], 3)


def _encode_json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, allow_nan=False).encode()


_CODECS: Mapping[Kind, _Codec] = {
    "array": _Codec(".npy", _encode_array, _decode_array),
    "images": _Codec(".png", _encode_images, _decode_images),
    "json": _Codec(".json", _encode_json, json.loads),
    # A trained part, as `reference_model.packed` packs it.
    "part": _Codec(".safetensors", bytes, bytes),
}


def encode(kind: Kind, value: Any) -> bytes:
    """Return a value as the bytes of its artefact; equal values give equal bytes."""
    return _CODECS[kind].encode(value)


def decode(kind: Kind, content: bytes) -> Any:
    """Return the value that an artefact's bytes hold."""
    return _CODECS[kind].decode(content)


def default_store() -> Path:
    """Return ``DALLE2EVAL_STORE``, else a folder in the user's cache (``XDG_CACHE_HOME``)."""
    if chosen := os.environ.get("DALLE2EVAL_STORE"):
        return Path(chosen)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "dalle2eval" / "store"


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a later run, finds all of it or nothing.

    Raises:
        DiskFullError: the disk is full; nothing is left behind.
        InputError: the place cannot be written.
    """
    _write_and_rename(path, lambda file: file.write(content))


def copy_atomic(source: Path, path: Path) -> None:
    """Copy a file, which may be too large for memory; like `write_atomic` in all else.

    Raises:
        DiskFullError: the disk is full; nothing is left behind.
        InputError: the source cannot be read, or the place cannot be written.
    """
    try:
        opened = source.open("rb")
    except OSError as error:
        raise InputError(f"{source}: cannot be read ({error.strerror})") from None
    with opened:
        _write_and_rename(path, lambda file: shutil.copyfileobj(opened, file))


def _write_and_rename(path: Path, write: Callable[[BinaryIO], object]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=TEMPORARY)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise explain_os_error(error, path) from None


def explain_os_error(error: OSError, path: Path) -> Exception:
    """Return the exception that tells a user why a file could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(f"disk full: cannot write {path.parent} ({error.strerror})")
    return InputError(f"cannot write {path}: {error.strerror or error}")


def check_writable(folder: Path, option: str) -> None:
    """Prove that a folder can be made and written, before any work goes into it.

    Args:
        folder: made if it does not exist.
        option: how the user chooses it, such as ``--out``; named in the error.

    Raises:
        InputError: it cannot be made or written.
        DiskFullError: its disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=TEMPORARY) as probe:
            probe.write(b"0" * 4096)
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise explain_os_error(error, folder / "probe") from None
        raise InputError(
            f"cannot write {folder}: {error.strerror or error}; choose another place with {option}"
        ) from None


class Store:
    """Artefacts under one folder, found by address; safe to share between processes.

    Args:
        root: the folder; it is made with the first artefact.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, address: str, kind: Kind) -> Path:
        """Return where the value of an address lies, or would lie."""
        return self.root / address[:2] / (address + _CODECS[kind].suffix)

    def has(self, address: str, kind: Kind) -> bool:
        """Say whether the artefact is there and whole (its content hash is checked)."""
        return self.read(address, kind) is not None

    def load(self, address: str, kind: Kind) -> Any | None:
        """Return the value, or None when it is absent or damaged and has to be made."""
        content = self.read(address, kind)
        return None if content is None else decode(kind, content)

    def save(self, address: str, kind: Kind, value: Any, *, made_of: Mapping[str, Any]) -> None:
        """Keep a value under its address.

        Args:
            address: ``records.fingerprint`` of everything that decides the value.
            kind: array (any .npy), images (square uint8 [n, s, s, 3]), json (plain data) or part
                (bytes of safetensors).
            value: what to keep.
            made_of: a note for people, kept in the ticket.

        Raises:
            DiskFullError: the disk is full.
            InputError: the store cannot be written.
        """
        self.keep(address, kind, encode(kind, value), made_of=made_of)

    def keep(self, address: str, kind: Kind, content: bytes, *, made_of: Mapping[str, Any]) -> None:
        """Keep a value that is encoded already; like `save` in all else."""
        ticket = {"sha256": hashlib.sha256(content).hexdigest(), "made_of": made_of}
        write_atomic(self.path(address, kind), content)
        write_atomic(self._ticket(address), json.dumps(ticket, sort_keys=True).encode())

    def read(self, address: str, kind: Kind) -> bytes | None:
        """Return the artefact's bytes, or None when it is absent or damaged."""
        try:
            ticket = json.loads(self._ticket(address).read_bytes())
            content = self.path(address, kind).read_bytes()
        except (OSError, ValueError):
            return None
        fits = isinstance(ticket, dict) and (
            ticket.get("sha256") == hashlib.sha256(content).hexdigest()
        )
        return content if fits else None

    def _ticket(self, address: str) -> Path:
        return self.root / address[:2] / f"{address}.ticket"
