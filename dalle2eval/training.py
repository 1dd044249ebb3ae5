"""`train`: a recipe's parts learn from the procedural world, one after the other."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

from dalle2eval.records import InputError
from dalle2eval.spelling import nearest
from dalle2eval.store import check_writable

if TYPE_CHECKING:
    from reference_model.training.train import DataFactory

SCENES = "scenes"


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
        data: what to learn from: ``scenes`` (the procedural world), a folder or zip of captioned
            images, or tar shards (``shard-{000..012}.tar``); see `dalle2eval.images.captions`.
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

    out = Path(out)
    work = Path(work) if work is not None else out / "work"
    if seed:
        work = work / f"seed-{seed}"
    check_writable(out, "--out")
    check_writable(work, "--work")
    source = open_data(data, seed=seed)
    from reference_model.training import train as train_recipe

    with told_plainly(), _silence() if quiet else contextlib.nullcontext():
        train_recipe(
            recipe,
            source,
            stage=stage,
            work=work,
            out=out,
            device=resolve_device(device),
            seed=seed,
            text_encoder=None if text_encoder is None else Path(text_encoder),
        )
    return out


def open_data(place: str, *, seed: int = 0) -> DataFactory:
    """Return what makes the streams of training samples; every file is looked at.

    Args:
        place: ``scenes``, or where captioned images lie.
        seed: of their order.

    Raises:
        InputError: there is no such place, a picture has no caption, or files are damaged.
    """
    if place == SCENES:
        from dalle2eval.scenes.training_data import SceneSource

        return cast("DataFactory", SceneSource)
    from dalle2eval.images.captioned import CaptionedSource, expand, open_pairs

    missing = [path for path in expand(place) if not path.exists()]
    if missing:
        raise InputError(
            f"--data {place}: {missing[0]} does not exist{nearest(place, [SCENES])} "
            "(or a folder, .zip or .tar of captioned images, or shards as shard-{000..012}.tar)"
        )
    pairs = open_pairs(place)
    captions = tuple(pair.caption for pair in (*pairs.train, *pairs.held_out))

    def factory(*, stream: int, held_out: bool, mix: str) -> CaptionedSource:
        del mix  # real pictures have no kinds to favour
        chosen = (*pairs.train, *pairs.held_out) if held_out else pairs.train
        return CaptionedSource(pairs=chosen, captions=captions, stream=stream, seed=seed)

    return factory


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Let nothing through to standard error meanwhile."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
        yield
