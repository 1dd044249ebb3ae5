"""What a run folder holds, typed and frozen: everything that a report shows, and nothing computed.

The field names follow docs/design/001-run-folder.md; `reports.reading` fills them from the files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from dalle2eval.records import (
    ALL,
    ArmSpec,
    Comparison,
    Estimate,
    Plan,
    Prompt,
    SampleKey,
    Score,
    SelfTest,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What became of the samples of one arm.

    Attributes:
        unscored_why: how many samples each reason left without a score.
        unreadable: pictures that the exact reader could not read, which counts as wrong; None
            where it was not counted. ``unreadable_why`` says how many for each reason.
    """

    asked: int
    made: int
    scored: int
    unscored: int
    unscored_why: Mapping[str, int] = field(default_factory=dict)
    unreadable: int | None = None
    unreadable_why: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCost:
    """What one stage cost over the whole run; ``cached`` of its ``units`` were not made again."""

    stage: str
    units: int
    cached: int
    images: int
    forward_passes: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Wall-clock seconds, peak memory in MB (None when not measured) and the stages."""

    total_s: float | None
    peak_memory_mb: float | None
    stages: tuple[StageCost, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One saved image: ``path`` is relative to the run folder and stays inside it."""

    arm: str
    key: SampleKey
    size: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedNumber:
    """A metric of an arm over its trainings.

    Attributes:
        values: of each training, in the order of the seeds; None where it is not known.
        variance_over_training_seeds: without what samples bring.
        variance_over_samples: of the value of one training.
    """

    metric: str
    mean: float | None
    values: tuple[float | None, ...]
    variance_over_training_seeds: float | None
    variance_over_samples: float | None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trainings:
    """How a run's arms were trained, and their numbers by training."""

    steps: int
    seeds: tuple[int, ...]
    arms: Mapping[str, tuple[TrainedNumber, ...]]


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """A finished run as its folder tells it.

    Attributes:
        folder: where the run lies; pictures are read from it when a report is made.
        estimates: by (arm, metric, slice).
        scores: by (arm, sample key), in the order of the file.
        notes: cautions to print, such as training data shared by judge and model.
        trainings: what varied by training, where arms were trained several times.
    """

    folder: Path
    plan: Plan
    environment: Mapping[str, Any]
    estimates: Mapping[tuple[str, str, str], Estimate]
    comparisons: tuple[Comparison, ...]
    scores: Mapping[tuple[str, SampleKey], tuple[Score, ...]]
    self_tests: tuple[SelfTest, ...]
    counts: Mapping[str, Counts]
    cost: Cost
    gallery: tuple[Picture, ...]
    notes: tuple[str, ...]
    trainings: Trainings | None = None

    @property
    def arms(self) -> tuple[ArmSpec, ...]:
        """Return the arms in the plan's order."""
        return self.plan.arms

    @cached_property
    def prompts(self) -> Mapping[str, Prompt]:
        """Return the prompts by id, in the plan's order."""
        return {prompt.id: prompt for prompt in self.plan.prompts}

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """Return every metric that has an estimate over all prompts, the primary one first."""
        found = dict.fromkeys(m for _, m, part in self.estimates if part == ALL)
        first = [m for m in (self.plan.primary_metric,) if m in found]
        return tuple(dict.fromkeys([*first, *found]))

    @cached_property
    def sizes(self) -> Mapping[tuple[str, SampleKey], frozenset[int]]:
        """Return the sizes at which each sample's picture was kept."""
        found: dict[tuple[str, SampleKey], set[int]] = {}
        for picture in self.gallery:
            found.setdefault((picture.arm, picture.key), set()).add(picture.size)
        return {sample: frozenset(sizes) for sample, sizes in found.items()}

    def slices(self, metric: str) -> tuple[str, ...]:
        """Return the slices of a metric besides ``all``, in the order of the file."""
        return tuple(
            dict.fromkeys(part for _, m, part in self.estimates if m == metric and part != ALL)
        )

    def comparison(self, arm: str, metric: str) -> Comparison | None:
        """Return an arm's comparison over all prompts with its reference arm, if there is one."""
        return self._comparisons.get((arm, metric))

    def scores_of(self, arm: str, key: SampleKey) -> tuple[Score, ...]:
        """Return every judgement of one sample."""
        return self.scores.get((arm, key), ())

    def all_scores(self) -> Iterator[tuple[str, Score]]:
        """Yield every (arm, score)."""
        for (arm, _), scores in self.scores.items():
            for score in scores:
                yield arm, score

    @cached_property
    def references_not_run(self) -> Mapping[str, str]:
        """Return, by arm, the reference arm that it has in the suite and that was not run."""
        told = self.plan.options.get("references_not_run")
        lost = told if isinstance(told, Mapping) else {}
        return {arm.name: str(lost[arm.name]) for arm in self.arms if arm.name in lost}

    @cached_property
    def unreadable(self) -> Mapping[tuple[str, str], int]:
        """Return how many pictures the reader could not read, by (arm, metric)."""
        return Counter(
            (arm, score.metric) for arm, score in self.all_scores() if _is_unreadable(score)
        )

    @cached_property
    def _comparisons(self) -> Mapping[tuple[str, str], Comparison]:
        return {(c.arm, c.metric): c for c in self.comparisons if c.slice == ALL}


def _is_unreadable(score: Score) -> bool:
    """Say whether a grader looked at the picture and could not read it."""
    detail = score.detail or {}
    return "why" in detail or ("read" in detail and detail["read"] is None)
