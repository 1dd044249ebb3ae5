"""What there is to choose from, and how each is opened; here judges and judged are introduced.

Nothing heavy is imported until it is opened: names, hashes and settings come from manifests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

from ablations.checking import Tables
from ablations.plan import Judges, ProbeUse
from ablations.tasks import source_hash
from ablations.workshop import Judge, TrainingRoom, Workshop
from dalle2eval.features import extractor_label
from dalle2eval.metrics import METRICS
from dalle2eval.models import Ensemble, open_system
from dalle2eval.models.reference import check_weights, open_reference
from dalle2eval.probes import PROBES
from dalle2eval.protocols import TextToImage
from dalle2eval.records import InputError, Plan
from reference_model.dalle2 import DALLE2
from reference_model.embedder import load_clip
from reference_model.manifest import (
    CheckpointError,
    available,
    read_manifest,
    released,
    user_folder,
)

DEVICES = ("auto", "cpu", "cuda")
JUDGE = "scenes-judge"
JUDGED_BY = (None, "scenes")  # a run's features are the judge's; nothing else may bear their names
TRAINING_STREAMS = {"scenes": 2}  # of the decoder's recipe, `reference_model.training.recipes`
# The code that turns pictures into numbers.
JUDGING = tuple(
    f"dalle2eval.{room}"
    for room in ("evaluate", "features", "metrics", "probes", "scenes", "statistics")
)
SHARED_WORLD = (
    "The judge CLIP has another architecture, seed and data stream than the generator's CLIP, "
    "but both learned from pictures of the same procedural world."
)


@contextmanager
def told_plainly() -> Iterator[None]:
    """Turn a model's ValueError (weights, settings) into an `InputError`."""
    try:
        yield
    except InputError:
        raise
    except ValueError as error:
        raise InputError(str(error)) from None


def list_weights() -> dict[str, dict[str, Any]]:
    """Return every set of weights: its folder, its parts' hashes, and why it is damaged, if so."""
    return {name: {"folder": str(at), **_parts_of(at)} for name, at in available().items()}


def _parts_of(folder: Path) -> dict[str, Any]:
    """Return the parts of a set of weights; one that cannot be read must not hide the others."""
    try:
        parts = read_manifest(folder).parts
    except CheckpointError as error:
        return {"parts": {}, "damaged": str(error)}
    return {
        "parts": {
            key: {"kind": part.kind, "sha256": part.sha256, "identity": part.identity}
            for key, part in parts.items()
        }
    }


def list_models() -> list[str]:
    """Return the names of the weights that can draw pictures."""
    return [name for name, weights in list_weights().items() if "decoder" in weights["parts"]]


def expected_weights() -> list[str]:
    """Return the names of all weights that are here or belong here: bundled ones may be gone.

    Raises:
        InputError: the list of the bundled weights is missing.
    """
    with told_plainly():
        return list(dict.fromkeys([*released(), *available()]))


def verify_weights(name: str) -> list[str]:
    """Check every part of a set of weights against its hash and return the parts' names.

    Raises:
        InputError: there are no such weights, a file is missing, cut or altered, or a bundled
            manifest was edited.
    """
    with told_plainly():
        return check_weights(name)


def examine_weights(names: Iterable[str]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Return the parts of the weights that are whole, and what is wrong with the others."""
    whole, problems = {}, {}
    for name in names:
        try:
            whole[name] = verify_weights(name)
        except InputError as error:
            problems[name] = str(error)
    return whole, problems


def import_weights(folder: Path, name: str) -> Path:
    """Convert a folder of Karlo's weights and keep it under a name of its own.

    Returns:
        The new folder of weights.

    Raises:
        InputError: the name is taken or no plain name, or the folder is not what it should be.
    """
    from reference_model.karlo.importing import import_folder

    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise InputError(
            f'"{name}" is no name for weights; allowed: letters, digits, ".", "_", "-"'
        )
    if name in available():
        raise InputError(f'there are weights named "{name}" already; choose another name')
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder")
    target = user_folder() / name
    with told_plainly():
        import_folder(folder, target, name)
    return target


def open_model(name: str, device: str) -> DALLE2:
    """Return a model of ours whose weights are whole; they are loaded when it first draws."""
    with told_plainly():
        return open_reference(name, device)


def open_ensemble(name: str, device: str) -> Ensemble:
    """Return any system, which answers also for those that arms name in its place."""
    with told_plainly():
        opener = partial(open_system, device=device)
        return Ensemble(opener(name), name, opener)


def find_judge() -> Judge:
    """Return the judge, whose weights are whole."""
    with told_plainly():
        verify_weights(JUDGE)
        judge = load_clip(JUDGE)
        return Judge(name=judge.name, weights=judge.weights)


def tables() -> Tables:
    """Return what a suite may name."""
    probes = {name: tuple(probe.metrics) for name, probe in PROBES.items()}
    given = {metric for metrics in probes.values() for metric in metrics}
    of_the_judge = {name for name, metric in METRICS.items() if metric.extractor in JUDGED_BY}
    return Tables(metrics=frozenset(of_the_judge) - given, probes=probes)


def judged_by(judge: Judge) -> dict[str, str]:
    """Return what decides the numbers besides the suite and the model: weights and judging code."""
    return {"judge": judge.name, "weights": judge.weights, "code": source_hash(*JUDGING)}


def judges_for(plan: Plan, judge: Judge) -> Judges:
    """Return who judges a plan's images."""
    needs = {METRICS[name].needs for name in plan.metrics}
    memory = "images+training" in needs
    return Judges(
        judge=judge,
        label=extractor_label(judge.name, judge.weights),
        probes=tuple(_use(name) for name in plan.probes),
        needs_features=any(need.startswith("features") for need in needs) or memory,
        needs_alignment="images+texts" in needs,
        needs_memory=memory,
        training_stream=TRAINING_STREAMS.get(plan.model["name"]),
    )


def _use(name: str) -> ProbeUse:
    probe = PROBES[name]
    return ProbeUse(
        name=name,
        image_size=probe.image_size,
        tag=probe.tag,
        seconds_per_image=probe.seconds_per_image,
    )


def workshop(
    model: TextToImage, device: str, training_room: TrainingRoom | None = None
) -> Workshop:
    """Return where units are made."""
    return Workshop(
        open_model=lambda: model,
        open_judge=lambda: load_clip(JUDGE, device=resolve_device(device)),
        probes=PROBES,
        training_room=training_room,
    )


def open_workshop(name: str, device: str) -> Workshop:
    """Return where units of a system's arms are made, opened by name on whichever machine."""
    return workshop(cast("TextToImage", open_ensemble(name, device)), device)


def check_device(device: str, *, here: bool = True) -> None:
    """Refuse what is no device, and CUDA where there is none.

    Torch is loaded only to look for CUDA, so that a cached run on a CPU stays quick.

    Args:
        device: one of `DEVICES`.
        here: whether the work is done on this machine.

    Raises:
        InputError: it is none of `DEVICES`, or no CUDA device is on this machine.
    """
    if device not in DEVICES:
        raise InputError(f'no device "{device}"; allowed: {", ".join(DEVICES)}')
    if device == "cuda" and here:
        import torch

        if not torch.cuda.is_available():
            raise InputError("--device cuda: this machine has no CUDA device; use cpu or auto")


def resolve_device(device: str) -> str:
    """Return ``cpu`` or ``cuda``; ``auto`` takes CUDA where there is one.

    Raises:
        InputError: there is no such device, or no CUDA device on this machine.
    """
    import torch

    check_device(device)
    return "cuda" if torch.cuda.is_available() and device != "cpu" else "cpu"
