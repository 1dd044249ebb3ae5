"""One trained part as bytes: its tensors, and in their header how the manifest describes it.

So that a part can be kept by its address and sent to another machine, and take the place of a part
of a stack that is here already.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save

from reference_model.dalle2 import DALLE2
from reference_model.manifest import Part, file_sha256, read_manifest, verify

HEADER = "part"  # key of the safetensors header


def pack(folder: Path, name: str) -> bytes:
    """Return a part of a folder of weights; equal weights give equal bytes.

    Raises:
        CheckpointError: it is not there, or damaged.
    """
    manifest = read_manifest(folder)
    verify(manifest, name)
    # What took how long differs between two equal trainings, and decides nothing.
    told = asdict(replace(manifest.part(name), training={}))
    header = {HEADER: json.dumps(told, sort_keys=True)}
    return save(load_file(manifest.path(name)), metadata=header)


def with_part(model: DALLE2, name: str, content: bytes) -> DALLE2:
    """Return a stack in which a part is another one, its network loaded.

    Args:
        model: whose other parts are used.
        name: of the part.
        content: from `pack`.
    """
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "part.safetensors"
        file.write_bytes(content)
        with safe_open(file, framework="pt") as opened:
            told = json.loads(opened.metadata()[HEADER])
        told |= {"file": str(file), "sha256": file_sha256(file)}
        part = Part(**{**told, "vocabulary": tuple(told["vocabulary"])})
        manifest = replace(model.manifest, parts={**model.manifest.parts, name: part})
        stack = DALLE2(manifest, device=model.device)
        stack.share(model, besides=name)
        stack.network(name)
    return stack
