"""What became of each arm's samples: asked for, made, scored, and why some were not.

Counted from what is there (pictures in the folder, rows of the scores), never copied from the plan:
a number that cannot differ from another says nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ablations.plan import ArmWork, Work
from ablations.run_folder import kept_sizes, samples_of
from dalle2eval.records import SampleKey

NOT_ASKED = "no judge was asked about it"
Row = Mapping[str, Any]


def count_samples(
    work: Work, judged: Mapping[str, Mapping[str, Sequence[Row]]], folder: Path
) -> dict[str, dict[str, Any]]:
    """Return ``counts`` of ``summary.json``, by arm.

    A sample is made when all of its pictures lie in the folder; scored when it has scores and none
    of them is missing; unreadable when the scene reader gave a reason, which counts as wrong and
    not as unscored.

    Args:
        work: of the run.
        judged: the value of each arm's judging unit, by arm.
        folder: the run folder.
    """
    return {
        arm.arm.name: _count(_pictures(arm, folder), judged[arm.arm.name]["scores"])
        for arm in work.arms
    }


def _pictures(arm: ArmWork, folder: Path) -> dict[SampleKey, list[Path]]:
    """Return where the pictures of each scored sample belong."""
    found: dict[SampleKey, list[Path]] = {}
    for drawn in arm.drawn:
        for size in kept_sizes(drawn) if drawn.shard.scored else ():
            for sample in samples_of(arm.arm.name, drawn, size):
                found.setdefault(sample.key, []).append(folder / sample.path)
    return found


def _count(pictures: Mapping[SampleKey, Sequence[Path]], rows: Iterable[Row]) -> dict[str, Any]:
    missing = dict.fromkeys(pictures, NOT_ASKED)
    unread: dict[SampleKey, str] = {}
    for row in sorted(rows, key=lambda row: row["value"] is None):  # a reason has the last word
        key = SampleKey(prompt_id=row["prompt_id"], seed=row["seed"])
        if row["value"] is None:
            missing[key] = f"{row['metric']}: {row['reason']}"
        else:
            missing.pop(key, None)
        why = (row["detail"] or {}).get("why")
        if why is not None:
            unread[key] = str(why)
    return {
        "asked": len(pictures),
        "made": sum(all(path.is_file() for path in paths) for paths in pictures.values()),
        "scored": len(pictures) - len(missing),
        "unscored": len(missing),
        "unscored_why": _by_frequency(missing.values()),
        "unreadable": len(unread),
        "unreadable_why": _by_frequency(unread.values()),
    }


def _by_frequency(reasons: Iterable[str]) -> dict[str, int]:
    return dict(Counter(reasons).most_common())
