"""A probe as a study: prompts, procedure, grader and self-test, and the numbers that come of it.

A `Probe` judges single pictures, so a suite can use it on any pictures that it drew. A `Study` asks
for pictures (and embeddings) itself: `dalle2eval probe NAME --model ...` conducts it. What a study
needs of a model is named; a model that lacks it is told what is missing before any work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dalle2eval.metrics.info import MetricInfo
from dalle2eval.probes.detection import Detector
from dalle2eval.probes.subject import Subject
from dalle2eval.protocols import TextImageEmbedder
from dalle2eval.records import ALL, Comparison, Estimate, InputError, Prompt, Score, SelfTest
from dalle2eval.statistics import estimate_scores

# What a study can need of a model, and how to say that it is missing.
PRIOR, EYES, GUIDANCE = "prior", "eyes", "guidance"
ABILITIES: dict[str, tuple[Callable[[Subject], bool], str]] = {
    PRIOR: (
        lambda subject: subject.has_prior,
        "a first stage that makes z_i, from which the next one draws (plan_stages, run_stage)",
    ),
    EYES: (
        lambda subject: subject.sees_pictures,
        "an image encoder of its own (encode_images, encode_texts; protocols.SeesPictures)",
    ),
    GUIDANCE: (
        lambda subject: subject.has_setting("guidance_scale"),
        "a setting guidance_scale",
    ),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Bench:
    """What a study works with.

    Attributes:
        subject: the model.
        n: how many prompts, or pictures of its own, the study takes.
        prompts: that it is asked about; none for a study that brings its own pictures.
        seeds: one picture of each prompt for each.
        judge: features of pictures and texts, independent of the model.
        detector: for prompts that need one; None when none was given.
        size: side of the pictures in pixels; None leaves it to the study.
    """

    subject: Subject
    n: int
    prompts: tuple[Prompt, ...]
    seeds: tuple[int, ...]
    judge: TextImageEmbedder
    detector: Detector | None = None
    size: int | None = None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a study found.

    Attributes:
        answer: one or two sentences with the numbers.
        estimates: each over all (slice ``all``) or over one group.
        comparisons: tests, each with its p-value.
        notes: cautions.
        rows: what was seen, one row an item, as plain JSON data.
    """

    answer: str
    estimates: tuple[Estimate, ...]
    comparisons: tuple[Comparison, ...] = ()
    notes: tuple[str, ...] = ()
    rows: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Study:
    """A row of the table of studies.

    Attributes:
        version: raised whenever a number of an unchanged model changes.
        needs: abilities of the model, of `ABILITIES`.
        measures: what it gives.
        prompts: the set that it asks about when none is chosen; None when it brings its own.
        n, samples: how many prompts, and pictures of each, when nobody says.
        conduct: the procedure.
        test: judges inputs with known truth.
        most: how many pictures or pairs of its own it has; None where prompts set the limit.
        strict: whether one failed test takes all numbers; a `Probe` refuses metric by metric.
    """

    name: str
    version: int
    summary: str
    needs: tuple[str, ...] = ()
    measures: tuple[MetricInfo, ...]
    prompts: str | None
    n: int
    samples: int
    conduct: Callable[[Bench], Finding]
    test: Callable[[Bench], Sequence[SelfTest]]
    strict: bool = True
    most: int | None = None

    def missing(self, subject: Subject) -> list[str]:
        """Return, in words, what the model lacks."""
        return [
            words
            for need, (has, words) in ABILITIES.items()
            if need in self.needs and not has(subject)
        ]

    def check(self, subject: Subject) -> None:
        """Refuse a model that cannot do what the study needs.

        Raises:
            InputError: names what is missing.
        """
        missing = self.missing(subject)
        if missing:
            raise InputError(
                f"{self.name} cannot probe {subject.model.name}: it has not "
                + ", nor ".join(missing)
            )


def trusted(finding: Finding, tests: Sequence[SelfTest]) -> Finding:
    """Return the finding, or one without numbers where a judge lies under its floor."""
    failed = [test for test in tests if not test.passed]
    if not failed:
        return finding
    reason = "; ".join(
        f"{test.judge} is right on {test.accuracy:.0%} of known {test.task} inputs, under its "
        f"floor of {test.floor:.0%}"
        for test in failed
    )
    return replace(
        finding,
        answer=f"no answer: {reason}",
        estimates=tuple(
            replace(e, value=None, low=None, high=None, reason=reason, note=None)
            for e in finding.estimates
        ),
        comparisons=(),
    )


def estimates_over(
    scores: Sequence[Score], measures: Sequence[MetricInfo], tags: Mapping[str, Sequence[str]]
) -> tuple[Estimate, ...]:
    """Return each measure over all scores, and over every tag that some but not all have.

    Args:
        scores: of any of the measures.
        measures: in the order of the tables.
        tags: of each prompt id.
    """
    names = dict.fromkeys(tag for of in tags.values() for tag in of)
    found: list[Estimate] = []
    for measure in measures:
        own = [score for score in scores if score.metric == measure.name]
        if not own:
            continue
        found.append(estimate_scores(own, measure, slice=ALL))
        for name in names:
            part = [score for score in own if name in tags.get(score.key.prompt_id, ())]
            if 0 < len(part) < len(own):
                estimate = estimate_scores(part, measure, slice=name)
                found += [estimate] if estimate.value is not None else []
    return tuple(found)


def shown(estimates: Sequence[Estimate], metric: str, part: str = ALL) -> str:
    """Return an estimate with its interval and n in words, for an answer."""
    for estimate in estimates:
        if (estimate.metric, estimate.slice) == (metric, part):
            if estimate.value is None:
                return f"unknown ({estimate.reason})"
            return (
                f"{estimate.value:.3g} [{estimate.low:.3g}, {estimate.high:.3g}], n = {estimate.n}"
            )
    return "not measured"
