"""``reference:NAME``: a stack of ours by the name of its weights (the prefix may be left out)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference_model.manifest import read_manifest, verify

if TYPE_CHECKING:
    from reference_model.dalle2 import DALLE2


def open_reference(name: str, device: str) -> DALLE2:
    """Return a stack whose weights are whole; they are loaded when it first draws.

    Args:
        name: of the weights, or their folder.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        ValueError: there are no such weights, or a file is missing, cut or altered.
    """
    from reference_model.dalle2 import load

    manifest = read_manifest(name)
    for part in manifest.parts:
        verify(manifest, part)
    return load(name, device=device)
