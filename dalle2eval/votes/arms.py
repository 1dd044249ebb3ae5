"""The arms that a study compares: ``RUN`` stands for all arms of a run folder, ``RUN:ARM`` for one.

Pictures are those that the run's own summary lists, so nothing outside a run folder is ever read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dalle2eval.records import InputError, SampleKey
from dalle2eval.spelling import nearest
from reports.reading import read_run
from reports.run_record import RunRecord

MAX_ARMS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmPictures:
    """One arm and where its pictures lie.

    Attributes:
        label: the arm's name, with the run's name before it where two arms share a name.
        prompts: text by prompt id.
        files: a picture file by (sample, side in pixels).
    """

    label: str
    run: str
    fingerprint: str
    arm: str
    prompts: Mapping[str, str]
    files: Mapping[tuple[SampleKey, int], Path]


def find_arms(wanted: Sequence[str]) -> tuple[ArmPictures, ...]:
    """Read the arms that a command names, each once, in the order given.

    Raises:
        InputError: a run or arm is unknown or damaged, or there are not 2 to 8 different arms.
    """
    runs: dict[Path, RunRecord] = {}
    chosen: dict[tuple[Path, str], None] = {}
    for text in wanted:
        folder, arm = _split(text)
        run = runs.setdefault(folder.resolve(), read_run(folder))
        names = [arm] if arm is not None else [spec.name for spec in run.arms]
        for name in names:
            _check_arm(run, name)
            chosen[folder.resolve(), name] = None
    if not 2 <= len(chosen) <= MAX_ARMS:  # noqa: PLR2004 - a comparison takes two
        raise InputError(
            f"a study compares 2 to {MAX_ARMS} arms, and {' '.join(wanted)} names {len(chosen)}; "
            "name single arms as RUN:ARM"
        )
    shared = Counter(name for _, name in chosen)
    arms = tuple(_pictures(runs[f], name, shared[name] > 1) for f, name in chosen)
    if len({arm.label for arm in arms}) < len(arms):
        raise InputError("two runs share their folder's name and an arm; rename one of the folders")
    return arms


def _split(text: str) -> tuple[Path, str | None]:
    """Split ``RUN:ARM``; a folder whose own name holds a colon is taken whole."""
    if Path(text).is_dir() or ":" not in text:
        return Path(text), None
    folder, arm = text.rsplit(":", 1)
    return Path(folder), arm


def _check_arm(run: RunRecord, name: str) -> None:
    names = [spec.name for spec in run.arms]
    if name not in names:
        raise InputError(f'{run.folder}: no arm "{name}"{nearest(name, names)}')


def _pictures(run: RunRecord, arm: str, shared: bool) -> ArmPictures:  # noqa: FBT001
    name = run.folder.resolve().name
    files = {(p.key, p.size): run.folder / p.path for p in run.gallery if p.arm == arm}
    return ArmPictures(
        label=f"{name}:{arm}" if shared else arm,
        run=name,
        fingerprint=run.plan.fingerprint,
        arm=arm,
        prompts={prompt.id: prompt.text for prompt in run.plan.prompts},
        files=files,
    )
