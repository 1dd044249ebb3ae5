"""Probes of single pictures as studies: draw, judge, estimate over the prompts and their slices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dalle2eval.metrics import METRICS
from dalle2eval.models.faults import find_faults
from dalle2eval.probes.composition import COMPOSITION
from dalle2eval.probes.geneval import GENEVAL, geneval_probe
from dalle2eval.probes.probe import Probe
from dalle2eval.probes.study import Bench, Finding, Study, estimates_over, shown
from dalle2eval.probes.subject import SHARD, pairs
from dalle2eval.records import InputError, Prompt, SampleKey, Score, SelfTest

DETECTOR_SIZE = 256  # pixels, where nobody says


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """Pictures of prompts, and what a probe said of them."""

    prompts: list[Prompt]
    keys: list[SampleKey]
    images: NDArray[np.uint8]
    scores: tuple[Score, ...]


def judge_pictures(bench: Bench, probes: Sequence[Probe], size: int) -> Judged:
    """Draw the prompts and have the probes judge them; a picture that is none is unscored.

    Raises:
        InputError: no prompt is one that the probes ask about.
    """
    prompts, keys = pairs(bench.prompts, bench.seeds)
    images = bench.subject.draw(prompts, keys, size=size)
    reasons = [r for k in range(0, len(images), SHARD) for r in find_faults(images[k : k + SHARD])]
    scores = tuple(s for probe in probes for s in probe.score(images, prompts, keys))
    if not scores:
        names = ", ".join(probe.name for probe in probes)
        raise InputError(f"{names}: not one of the {len(bench.prompts)} prompts can be graded")
    why = {key: reason for key, reason in zip(keys, reasons, strict=True) if reason}
    told = tuple(
        Score(key=s.key, metric=s.metric, value=None, reason=why[s.key]) if s.key in why else s
        for s in scores
    )
    return Judged(prompts=prompts, keys=keys, images=images, scores=told)


def graded_study(
    name: str,
    version: int,
    summary: str,
    probes_for: Callable[[Bench | None], Sequence[Probe]],
) -> Study:
    """Return the study of probes of single pictures.

    Args:
        name: of the study.
        version: of the study.
        summary: in a line.
        probes_for: a bench, as a detector may be on it; None for what they are without one.
    """
    bare = probes_for(None)
    measures = tuple(METRICS[metric] for probe in bare for metric in probe.metrics)

    def conduct(bench: Bench) -> Finding:
        probes = probes_for(bench)
        largest = DETECTOR_SIZE if bench.detector else probes[0].image_size
        size = bench.size or bench.subject.size_up_to(largest)
        judged = judge_pictures(bench, probes, size)
        tags = {prompt.id: prompt.tags for prompt in bench.prompts}
        estimates = estimates_over(judged.scores, measures, tags)
        given = list(dict.fromkeys(estimate.metric for estimate in estimates))
        answer = "; ".join(f"{metric} {shown(estimates, metric)}" for metric in given)
        return Finding(answer=answer, estimates=estimates, rows=rows_of(judged.scores))

    def test(bench: Bench) -> tuple[SelfTest, ...]:
        found = [test for probe in probes_for(bench) for test in probe.self_test()]
        return tuple({(t.judge, t.task): t for t in found}.values())

    return Study(
        name=name,
        version=version,
        summary=summary,
        measures=measures,
        prompts="scenes/quick",
        n=80,
        samples=2,
        conduct=conduct,
        test=test,
        strict=False,
    )


def rows_of(scores: Sequence[Score]) -> tuple[dict[str, object], ...]:
    """Return scores as plain rows."""
    return tuple(
        {
            "prompt_id": s.key.prompt_id,
            "seed": s.key.seed,
            "metric": s.metric,
            "value": s.value,
            "reason": s.reason,
            "detail": None if s.detail is None else dict(s.detail),
        }
        for s in scores
    )


def _geneval(bench: Bench | None) -> tuple[Probe, ...]:
    return (GENEVAL if bench is None or bench.detector is None else geneval_probe(bench.detector),)


def _composition(bench: Bench | None) -> tuple[Probe, ...]:
    if bench is not None and bench.detector is not None:
        return _geneval(bench)
    return (COMPOSITION, GENEVAL)


GENEVAL_STUDY = graded_study("geneval", GENEVAL.version, GENEVAL.summary, _geneval)
COMPOSITION_STUDY = graded_study(
    "composition",
    COMPOSITION.version,
    COMPOSITION.summary + ", and GenEval's six tasks",
    _composition,
)
