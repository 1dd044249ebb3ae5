"""Where each probe failed: the pictures, what was asked and what was read.

Few pictures an arm are shown, but all failures are counted, and so are those that no grader
could judge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dalle2eval.records import SampleKey, Score
from reports.facts_text import asked_and_read
from reports.gallery import Tile, judged_size, tile
from reports.pictures import Thumbnails
from reports.run_record import Picture, RunRecord
from reports.wording import wording

SHOWN = 6  # pictures an arm and probe


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One failed sample; ``tile`` is None when its picture was not kept."""

    prompt: str
    seed: int
    asked: str
    read: str
    tile: Tile | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmFailures:
    """The failures of one arm in one probe; ``unscored`` holds (reason, count)."""

    arm: str
    index: int
    failed: int
    judged: int
    shown: tuple[Failure, ...]
    unscored: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFailures:
    """The failures of every arm in one probe."""

    metric: str
    title: str
    says: str
    arms: tuple[ArmFailures, ...]

    @property
    def failed(self) -> int:
        """Return the failures of all arms."""
        return sum(arm.failed for arm in self.arms)


def probe_failures(run: RunRecord, thumbnails: Thumbnails) -> tuple[ProbeFailures, ...]:
    """Return the failures of each pass/fail metric that has any failed or unscored sample."""
    by_metric: dict[str, dict[str, list[Score]]] = {}
    for arm, score in run.all_scores():
        if wording(score.metric).share:
            by_metric.setdefault(score.metric, {}).setdefault(arm, []).append(score)
    pictures = {(p.arm, p.key, p.size): p for p in run.gallery}
    found = []
    for metric, by_arm in by_metric.items():
        arms = tuple(
            _arm_failures(run, (i, arm.name, by_arm[arm.name]), pictures, thumbnails)
            for i, arm in enumerate(run.arms)
            if arm.name in by_arm
        )
        if any(arm.failed or arm.unscored for arm in arms):
            words = wording(metric)
            found.append(
                ProbeFailures(metric=metric, title=words.title, says=words.says, arms=arms)
            )
    return tuple(found)


def _arm_failures(
    run: RunRecord,
    judged: tuple[int, str, Sequence[Score]],
    pictures: Mapping[tuple[str, SampleKey, int], Picture],
    thumbnails: Thumbnails,
) -> ArmFailures:
    index, arm, scores = judged
    failed = [score for score in scores if score.value is not None and score.value < 1]
    reasons = Counter(str(score.reason) for score in scores if score.value is None)
    shown = []
    for score in failed[:SHOWN]:
        size = judged_size(run, arm, score)
        picture = pictures[arm, score.key, size] if size is not None else None
        asked, read = asked_and_read(score)
        shown.append(
            Failure(
                prompt=run.prompts[score.key.prompt_id].text,
                seed=score.key.seed,
                asked=asked,
                read=read,
                tile=tile(run, picture, thumbnails) if picture else None,
            )
        )
    return ArmFailures(
        arm=arm,
        index=index,
        failed=len(failed),
        judged=len(scores) - sum(reasons.values()),
        shown=tuple(shown),
        unscored=tuple(reasons.items()),
    )
