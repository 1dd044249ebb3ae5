"""A training as a unit of work: one part, for one arm, from one seed, made once and kept.

Killed in the middle, it goes on from the loop's last checkpoint, which lies beside the artefacts
under ``unfinished/`` until the run has finished.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ablations.events import alone_with
from ablations.tasks import TrainedPart, source_hash
from ablations.trainings import OPTION, manifest_of, repeats_of
from ablations.units import Unit, Values
from dalle2eval.records import Plan, fingerprint
from dalle2eval.store import Store, explain_os_error

if TYPE_CHECKING:
    from ablations.trained_stack import StackWith
    from ablations.workshop import Workshop
    from reference_model.manifest import Manifest, Part
    from reference_model.training.train import DataFactory

UNFINISHED = "unfinished"  # folder of the store
# Yardsticks on two CPU cores, in seconds an image, measured on the scenes preset; and of a start.
SECONDS_PER_IMAGE = {
    "prior": 0.0023,
    "prior-ar": 0.004,
    "decoder": 0.02,
    "decoder-imagen": 0.02,
    "upsampler-256": 0.03,
    "upsampler-1024": 0.25,
}
START_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedArm:
    """A repeat of an arm: the part that is trained for it, and the stack that draws with it."""

    part: TrainedPart
    stack: StackWith


@dataclass(frozen=True, slots=True, kw_only=True)
class _Training:
    """What `train_stage` is called with, by names and plain data, so that it can travel."""

    preset: str
    recipe: str
    stage: str
    steps: int
    seed: int
    changes: tuple[tuple[str, Any], ...]
    name: str


def training_unit_of(
    option: Mapping[str, Any], arm: Mapping[str, Any], seed: int, manifest: Manifest
) -> tuple[Unit, Part]:
    """Return the unit that trains an arm from a seed, and the part that it will make.

    Args:
        option: ``training`` of a plan.
        arm: its entry in ``arms``: stage and changes.
        seed: of the training.
        manifest: of the weights whose other parts are used.
    """
    from reference_model.training.planned import planned_part

    chosen = {"preset": option["preset"], "recipe": option["recipe"], "stage": arm["stage"]}
    planned = planned_part(**chosen, steps=option["steps"], seed=seed, changes=arm["changes"])
    identity = {
        "training": planned.made_of,
        "builds_on": manifest.part("clip").identity,
        "data": source_hash("dalle2eval.scenes"),
    }
    training = _Training(
        **chosen,
        steps=option["steps"],
        seed=seed,
        changes=tuple(arm["changes"].items()),
        name=fingerprint(identity),
    )
    unit = Unit(
        stage=f"train {arm['stage']}",
        kind="part",
        samples=planned.images,
        forward_passes=option["steps"],
        seconds=START_S + SECONDS_PER_IMAGE[arm["stage"]] * planned.images,
        identity=identity,
        perform=partial(_train, training),
    )
    return unit, replace(planned.part, sha256=unit.address)


def trained_arms(plan: Plan, planner: object) -> dict[str, TrainedArm]:
    """Return what is trained for each repeat of a plan; nothing where nothing is trained."""
    repeats = repeats_of(plan)
    if not repeats:
        return {}
    from ablations.trained_stack import StackWith

    option, manifest = plan.options[OPTION], manifest_of(planner)
    assert manifest is not None
    found = {}
    for arm, seeds in repeats.items():
        own = option["arms"][arm]
        for name, seed in seeds.items():
            unit, part = training_unit_of(option, own, seed, manifest)
            stack = StackWith(manifest, own["stage"], part)
            trained = TrainedPart(name=own["stage"], unit=unit)
            found[name] = TrainedArm(part=trained, stack=stack)
    return found


def tidy(store: Store, units: Iterable[Unit]) -> None:
    """Remove the checkpoints of trainings whose result is in the store."""
    for unit in units:
        if unit.kind == "part" and store.has(unit.address, unit.kind):
            folder = store.root / UNFINISHED / fingerprint(unit.identity)
            shutil.rmtree(folder, ignore_errors=True)


def _train(training: _Training, workshop: Workshop, _values: Values) -> bytes:
    """Train, or go on, and return the part as bytes."""
    import torch

    from dalle2eval.scenes.training_data import SceneSource
    from reference_model.packed import pack
    from reference_model.training import train_stage
    from reference_model.training.embeddings import Cache

    room, manifest = workshop.training_room, manifest_of(workshop.model)
    if room is None or manifest is None:
        raise RuntimeError("this workshop has no room for trainings")
    folder, data = room.store / UNFINISHED / training.name, source_hash("dalle2eval.scenes")
    with _alone_in(folder), contextlib.nullcontext() if room.tells else silence():
        try:
            weights = train_stage(
                training.preset,
                training.stage,
                cast("DataFactory", SceneSource),
                steps=training.steps,
                seed=training.seed,
                out=folder,
                changes=dict(training.changes),
                parts_from=manifest.folder,
                recipe=training.recipe,
                device=room.device,
                data_identity=data,
                cache=Cache(Store(room.store), data),
            )
        finally:
            torch.set_flush_denormal(False)  # the loop turns it on, and pictures have it off
        content = pack(weights, training.stage)
        shutil.rmtree(weights)  # the checkpoint beside it makes it again in a second
    return content


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain_os_error(error, folder) from None
    with alone_with(folder / "lock"):
        yield


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Let nothing through to standard error meanwhile."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
        yield
