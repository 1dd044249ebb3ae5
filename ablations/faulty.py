"""Pictures that cannot be judged are taken out of an arm's evidence, and said to be.

They are NaN, black, of one colour, all the same, or were refused (`dalle2eval.models.faults`).
Their features are left out, and their scores become unscored with the reason: never 0, never
averaged in.
Arms are then compared over the pictures that both have, so that n is equal and pairs stay pairs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dalle2eval.evaluate import Evidence
from dalle2eval.records import SampleKey, Score
from dalle2eval.statistics import Features

Faults = Mapping[SampleKey, str]


def faults_by_key(
    keys: Sequence[SampleKey], shards: Iterable[Sequence[str | None]]
) -> dict[SampleKey, str]:
    """Return the reasons by picture, of those that cannot be judged; empty where none was checked.

    Args:
        keys: of all pictures, in the order of the shards.
        shards: of each picture why it cannot be judged, or None.
    """
    reasons = [reason for shard in shards for reason in shard]
    pairs = zip(keys, reasons, strict=bool(reasons))
    return {key: reason for key, reason in pairs if reason is not None}


def without(evidence: Evidence, faults: Faults) -> Evidence:
    """Return what was measured of the pictures that can be judged."""
    if not faults:
        return evidence
    kept = [key not in faults for key in evidence.features.keys] if evidence.features else []
    return Evidence(
        features=_pick(evidence.features, kept),
        scores=tuple(_told(score, faults) for score in evidence.scores),
    )


def in_common(own: Evidence, other: Evidence) -> tuple[Evidence, Evidence]:
    """Return the evidence of two arms with the features of the pictures that both have.

    Scores need no cut: a pair in which one is unscored is no pair.
    """
    if own.features is None or other.features is None:
        return replace(own, features=None), replace(other, features=None)
    both = set(own.features.keys) & set(other.features.keys)
    cut = [
        replace(arm, features=_pick(features, [key in both for key in features.keys]))
        for arm, features in ((own, own.features), (other, other.features))
    ]
    return cut[0], cut[1]


def fault_notes(judged: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for each arm with pictures that could not be judged.

    Args:
        judged: the value of each arm's judging unit, by arm.
    """
    for arm, of in judged.items():
        if faults := of.get("faults"):
            reasons = Counter(faults.values()).most_common()
            told = ", ".join(f"{count} x {reason}" for reason, count in reasons)
            yield (
                f"Of arm {arm} could not be judged: {told}. These pictures are unscored, and the "
                "arm is compared over the pictures that both arms have."
            )


def _pick(features: Features | None, kept: Sequence[bool]) -> Features | None:
    if features is None or not any(kept):
        return None
    return features.pick([row for row, keep in enumerate(kept) if keep])


def _told(score: Score, faults: Faults) -> Score:
    reason = faults.get(score.key)
    return score if reason is None else replace(score, value=None, reason=reason, detail=None)
