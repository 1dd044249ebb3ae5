"""`train_stage`: one part for one arm of an ablation, with equal budgets and equal noise."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reference_model.manifest import read_manifest
from reference_model.training.embeddings import Cache
from reference_model.training.train import DataFactory, choose, train


def train_stage(  # noqa: PLR0913  (what an arm of an ablation is)
    preset: str,
    stage: str,
    data: DataFactory,
    *,
    steps: int,
    seed: int,
    out: Path,
    changes: Mapping[str, Any] | None = None,
    parts_from: Path | None = None,
    recipe: str = "captions",
    device: str = "cpu",
    data_identity: str = "",
    cache: Cache | None = None,
) -> Path:
    """Train one part for one arm of an ablation and return the folder of its weights.

    Arms with equal ``steps``, ``seed`` and ``data`` see the same samples and the same noise, and
    differ in ``changes`` alone.

    Args:
        preset: the architecture.
        stage: such as ``decoder``.
        data: makes the data of a stream.
        steps: of the optimiser.
        seed: of a repeat.
        out: folder of the arm: weights and ``work``.
        changes: such as ``{"decoder.target": "v", "loop.batch_size": 32}``.
        parts_from: folder of weights whose parts this stage builds on (the CLIP) and that are
            copied into the arm's folder.
        recipe: where the other settings come from.
        device: ``cpu`` or ``cuda``.
        data_identity: hash of the data.
        cache: keeps the embeddings that priors are trained on, for the next arm.

    Raises:
        ValueError: an unknown name or field.
        CheckpointError: the part that this stage builds on is missing.
    """
    folder = out / choose(recipe, stage)[0].weights
    if parts_from is not None and not folder.exists():
        _copy_whole(read_manifest(parts_from).folder, folder)
    train(
        recipe,
        data,
        stage=stage,
        work=out / "work",
        out=out,
        device=device,
        seed=seed,
        preset=preset,
        changes={**(changes or {}), "loop.steps": steps},
        data_identity=data_identity,
        cache=cache,
    )
    return folder


def _copy_whole(source: Path, folder: Path) -> None:
    """Copy weights so that a kill leaves all of them at the new place, or none."""
    half = folder.with_name(f".{folder.name}-{os.getpid()}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, half)
    half.rename(folder)
