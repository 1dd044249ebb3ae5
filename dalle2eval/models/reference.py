"""``reference:NAME``: a stack of ours by the name of its weights (the prefix may be left out)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference_model.manifest import read_manifest, verify, verify_release

if TYPE_CHECKING:
    from reference_model.dalle2 import DALLE2


def check_weights(name: str) -> list[str]:
    """Check every part of a set of weights against its hash and return the parts' names.

    Raises:
        ValueError: there are no such weights, a file is missing, cut or altered, or a bundled
            manifest was edited.
    """
    verify_release(name)
    manifest = read_manifest(name)
    for part in manifest.parts:
        verify(manifest, part)
    return list(manifest.parts)


def open_reference(name: str, device: str) -> DALLE2:
    """Return a stack whose weights are whole; they are loaded when it first draws.

    Args:
        name: of the weights, or their folder.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        ValueError: see `check_weights`.
    """
    from reference_model.dalle2 import load

    check_weights(name)
    return load(name, device=device)
