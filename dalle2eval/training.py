"""`train`: a recipe's parts learn from the procedural world, or from your captioned pictures."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from dalle2eval.store import Store, check_writable, default_store
from dalle2eval.training_sources import open_data


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
    preset: str | None = None,
    changes: Sequence[str] = (),
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
        preset: the architecture, where it is not the recipe's own: tiny, scenes, base or paper.
        changes: ``PATH=VALUE`` for fields of recipe and architecture, as ``loop.steps=1000``.

    Raises:
        InputError: no such recipe, stage, field or data, or a folder cannot be written.
    """
    from ablations.catalogue import resolve_device, told_plainly
    from ablations.training_units import silence

    out = Path(out)
    work = Path(work) if work is not None else out / "work"
    if seed:
        work = work / f"seed-{seed}"
    from dalle2eval.training_evaluation import Evaluation
    from reference_model.training import choose
    from reference_model.training import train as train_recipe
    from reference_model.training.changes import parse_changes
    from reference_model.training.embeddings import Cache

    with told_plainly():
        choose(recipe, stage)  # a name that is wrong leaves no folder behind
        fields = parse_changes(changes)
    check_writable(out, "--out")
    check_writable(work, "--work")
    where = resolve_device(device)
    source = open_data(data, seed=seed)
    with told_plainly(), silence() if quiet else contextlib.nullcontext():
        train_recipe(
            recipe,
            source,
            stage=stage,
            work=work,
            out=out,
            device=where,
            seed=seed,
            text_encoder=None if text_encoder is None else Path(text_encoder),
            preset=preset,
            changes=fields,
            data_identity=source.identity,
            cache=Cache(Store(default_store()), source.drawn_by),
            judge=Evaluation(source.held_out, partial(source.open_extractor, where), where),
        )
    return out
