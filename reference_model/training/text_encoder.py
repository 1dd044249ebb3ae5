"""Brings a frozen T5 of the user's into a set of weights, before a decoder is trained on it."""

from __future__ import annotations

from pathlib import Path

from reference_model import t5
from reference_model.checkpoint import save_part
from reference_model.training.finished import described, finished

READER = "decoder-imagen-t5"  # the stage that reads it


def keep_t5(source: Path, folder: Path) -> None:
    """Write the T5 of a folder in transformers' layout as a part of the weights.

    Args:
        source: the user's folder.
        folder: of the weights, which hold a CLIP already.

    Raises:
        CheckpointError: the source is no T5, or there are no such weights yet.
    """
    manifest = finished(folder, "clip")
    config, tensors = t5.read_t5(source)
    save_part(folder, t5.PART, described("t5", config), tensors, weights_name=manifest.name)
