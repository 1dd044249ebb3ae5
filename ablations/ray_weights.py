"""Weights that a cluster's nodes may lack: sent through Ray's object store, once to each node.

The bundled ones come with the package and stay home. A node that has a set already, by the bytes of
its manifest, fetches nothing; the files' own hashes are checked when they are loaded, as always.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dalle2eval.records import fingerprint
from dalle2eval.store import write_atomic
from reference_model.manifest import MANIFEST, available, released, user_folder

# By name of the weights: their manifest, and references to the bytes of the other files by name.
Parcels = Mapping[str, tuple[bytes, Mapping[str, Any]]]


def pack(names: Iterable[str], put: Any) -> Parcels:
    """Return the parcels of those weights that are neither bundled nor somebody else's system.

    Args:
        names: of the weights that a run reads.
        put: ``ray.put``.
    """
    own = {name: folder for name, folder in available().items() if name not in released()}
    return {name: _parcel(own[name], put) for name in names if name in own}


def _parcel(folder: Path, put: Any) -> tuple[bytes, dict[str, Any]]:
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.name != MANIFEST]
    # An array is read by all workers of a node from one block of shared memory; bytes are copied.
    sent = {path.name: put(np.fromfile(path, np.uint8)) for path in files}
    return (folder / MANIFEST).read_bytes(), sent


def unpack(parcels: Parcels) -> None:
    """Put the weights that are not on this machine where they will be found by name."""
    lacking = {name: parcel for name, parcel in parcels.items() if not _is_here(name, parcel[0])}
    if not lacking:
        return
    import ray

    key = fingerprint({name: manifest.decode() for name, (manifest, _) in parcels.items()})
    root = user_folder().parent / "weights-by-ray" / key[:16]
    for name, (manifest, files) in parcels.items():
        for file, reference in files.items():
            if not (root / name / file).exists():
                write_atomic(root / name / file, bytes(ray.get(reference)))
        write_atomic(root / name / MANIFEST, manifest)  # last: with it the set is there
    os.environ["DALLE2EVAL_WEIGHTS"] = str(root)


def _is_here(name: str, manifest: bytes) -> bool:
    folder = available().get(name)
    return folder is not None and (folder / MANIFEST).read_bytes() == manifest
