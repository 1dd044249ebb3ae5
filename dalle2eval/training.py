"""`train`: a recipe's parts learn from the procedural world, one after the other."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

from dalle2eval.records import InputError
from dalle2eval.store import check_writable

if TYPE_CHECKING:
    from reference_model.training.train import DataFactory


def train(  # noqa: PLR0913  (the command's options by their names)
    recipe: str,
    *,
    out: str | Path,
    stage: str | None = None,
    data: str = "scenes",
    work: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    quiet: bool = False,
    text_encoder: str | Path | None = None,
) -> Path:
    """Train a recipe's parts, or one, and return the folder of the finished weights.

    Args:
        recipe: its name.
        out: folder of the finished weights, one sub-folder a set.
        stage: one part; None for all, in order.
        data: what to learn from; ``scenes`` is the procedural world.
        work: folder of checkpoints and logs, from which a killed training goes on.
        seed: of a repeat: 0 is the recipe itself, any other begins from other initial weights on
            the same data, with checkpoints of its own.
        device: ``auto``, ``cpu`` or ``cuda``.
        quiet: keep progress from standard error; the log in ``work`` has it all the same.
        text_encoder: folder of a T5 in transformers' layout, for the stage decoder-imagen-t5.

    Raises:
        InputError: no such recipe, stage or data, or a folder cannot be written.
    """
    from ablations.catalogue import resolve_device, told_plainly
    from dalle2eval.scenes.training_data import SceneSource

    if data != "scenes":
        raise InputError(f'no data "{data}"; allowed: scenes')
    out = Path(out)
    work = Path(work) if work is not None else out / "work"
    if seed:
        work = work / f"seed-{seed}"
    check_writable(out, "--out")
    check_writable(work, "--work")
    from reference_model.training import train as train_recipe

    with told_plainly(), _silence() if quiet else contextlib.nullcontext():
        train_recipe(
            recipe,
            cast("DataFactory", SceneSource),
            stage=stage,
            work=work,
            out=out,
            device=resolve_device(device),
            seed=seed,
            text_encoder=None if text_encoder is None else Path(text_encoder),
        )
    return out


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Let nothing through to standard error meanwhile."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
        yield
