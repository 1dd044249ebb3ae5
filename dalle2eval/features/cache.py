"""Features kept by the hash of what they are features of: pixels (or a text), extractor, rules.

One SQLite file in the store for each extractor and preprocessing, a row an image: 50,000 images are
one file and not 100,000, and a row is found whichever folder, batch or run its image comes in. A
row carries its own checksum; a damaged file is put aside and made again, for it is only a cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dalle2eval.records import InputError, fingerprint
from dalle2eval.store import explain_os_error

CHECKSUM_BYTES = 8
AT_ONCE = 500  # keys a question; SQLite takes 999
PATIENCE_S = 60.0  # for another process that is writing


def pixel_hash(image: NDArray[np.uint8]) -> bytes:
    """Return SHA-256 over an image's shape and pixels."""
    digest = hashlib.sha256(str(image.shape).encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.digest()


def text_hash(text: str) -> bytes:
    """Return SHA-256 of a text."""
    return hashlib.sha256(text.encode()).digest()


class FeatureCache:
    """Features of one extractor.

    Args:
        root: folder of the store.
        identity: all that decides a feature besides the image: weights, preprocessing, kind.

    Raises:
        InputError: the store cannot be written.
    """

    def __init__(self, root: Path, identity: Mapping[str, str]) -> None:
        self.path = root / "features" / f"{fingerprint(dict(identity))}.sqlite"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise explain_os_error(error, self.path) from None
        self._rows = self._open()

    def load(self, keys: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """Return the features [d] that are there, by key."""
        found: dict[bytes, NDArray[np.float32]] = {}
        for k in range(0, len(keys), AT_ONCE):
            part = list(keys[k : k + AT_ONCE])
            marks = ",".join("?" * len(part))
            question = f"SELECT key, value FROM features WHERE key IN ({marks})"
            for key, value in self._rows.execute(question, part):
                feature = _decode(value)
                if feature is not None:
                    found[key] = feature
        return found

    def save(self, features: Mapping[bytes, NDArray[np.float32]]) -> None:
        """Keep features [d] by key; all of them or none.

        Raises:
            InputError: the store cannot be written.
        """
        rows = [(key, _encode(feature)) for key, feature in features.items()]
        try:
            with self._rows:
                self._rows.executemany("INSERT OR REPLACE INTO features VALUES (?, ?)", rows)
        except sqlite3.OperationalError as error:
            raise InputError(f"{self.path}: cannot be written ({error})") from None

    def close(self) -> None:
        """Let go of the file."""
        self._rows.close()

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.OperationalError as error:
            raise InputError(f"{self.path}: cannot be opened ({error})") from None
        except sqlite3.DatabaseError:
            self.path.replace(self.path.with_suffix(".damaged"))
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        rows = sqlite3.connect(self.path, timeout=PATIENCE_S)
        try:
            with rows:
                rows.execute(
                    "CREATE TABLE IF NOT EXISTS features (key BLOB PRIMARY KEY, value BLOB)"
                )
        except sqlite3.Error:
            with contextlib.suppress(sqlite3.Error):
                rows.close()
            raise
        return rows


def _encode(feature: NDArray[np.float32]) -> bytes:
    content = np.ascontiguousarray(feature, dtype="<f4").tobytes()
    return _checksum(content) + content


def _decode(value: bytes) -> NDArray[np.float32] | None:
    checksum, content = value[:CHECKSUM_BYTES], value[CHECKSUM_BYTES:]
    if checksum != _checksum(content):
        return None
    return np.frombuffer(content, dtype="<f4").astype(np.float32)


def _checksum(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=CHECKSUM_BYTES).digest()
