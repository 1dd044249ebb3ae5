"""Flips: samples that one arm got right and the arm it is held against got wrong, by each probe.

An average hides them: two arms of equal pass rate may fail on quite different prompts. They are
shown where a run compares two sides (``options.sides`` of its plan), with both pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dalle2eval.records import SampleKey, Score
from reports.facts_text import asked_and_read
from reports.gallery import Tile, judged_size, tile
from reports.pictures import Thumbnails
from reports.run_record import Picture, RunRecord
from reports.wording import wording

SHOWN = 40  # flips of a probe and direction with their pictures; the others lie in summary.json
LOST, WON = "lost", "won"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """One sample that changed sides: ``way`` is ``lost`` or ``won`` by the arm in question."""

    way: str
    key: SampleKey
    asked: str
    reference_read: str
    arm_read: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFlips:
    """The flips of one probe between two arms, of ``n`` samples that it judged in both."""

    metric: str
    title: str
    arm: str
    reference: str
    n: int
    flips: tuple[Flip, ...]

    def of(self, way: str) -> tuple[Flip, ...]:
        """Return the flips of one direction."""
        return tuple(flip for flip in self.flips if flip.way == way)

    def told(self, way: str) -> str:
        """Return one direction in words."""
        right, wrong = (self.reference, self.arm) if way == LOST else (self.arm, self.reference)
        return f"{len(self.of(way))} that {right} got right and {wrong} wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlipRow:
    """A flip with its pictures, the reference arm's first; None where a picture was not kept."""

    flip: Flip
    prompt: str
    tiles: tuple[tuple[str, int, Tile | None], ...]


def compares_sides(run: RunRecord) -> bool:
    """Say whether a run is a comparison of two others."""
    return "sides" in run.plan.options


def find_flips(run: RunRecord) -> tuple[ProbeFlips, ...]:
    """Return the flips of every pass/fail metric between each arm and its reference arm.

    Those with the most flips come first.
    """
    by_arm: dict[tuple[str, str], dict[SampleKey, Score]] = {}
    for arm, score in run.all_scores():
        if wording(score.metric).share and score.value is not None:
            by_arm.setdefault((arm, score.metric), {})[score.key] = score
    metrics = dict.fromkeys(metric for _, metric in by_arm)
    found = [
        _probe_flips(metric, (spec.name, str(spec.reference)), by_arm)
        for spec in run.arms
        for metric in metrics
        if (spec.name, metric) in by_arm and (str(spec.reference), metric) in by_arm
    ]
    return tuple(sorted(found, key=lambda probe: -len(probe.flips)))


def _probe_flips(
    metric: str, arms: tuple[str, str], by_arm: dict[tuple[str, str], dict[SampleKey, Score]]
) -> ProbeFlips:
    ours, theirs = by_arm[arms[0], metric], by_arm[arms[1], metric]
    both = sorted(ours.keys() & theirs.keys())
    return ProbeFlips(
        metric=metric,
        title=wording(metric).title,
        arm=arms[0],
        reference=arms[1],
        n=len(both),
        flips=tuple(
            _flip(ours[key], theirs[key]) for key in both if ours[key].value != theirs[key].value
        ),
    )


def _flip(score: Score, reference: Score) -> Flip:
    asked, read = asked_and_read(score)
    return Flip(
        way=WON if (score.value or 0) > (reference.value or 0) else LOST,
        key=score.key,
        asked=asked,
        reference_read=asked_and_read(reference)[1],
        arm_read=read,
    )


def flip_rows(
    run: RunRecord, found: ProbeFlips, way: str, thumbnails: Thumbnails
) -> tuple[FlipRow, ...]:
    """Return the first flips of one direction with their pictures."""
    pictures = {(p.arm, p.key, p.size): p for p in run.gallery}
    order = [arm.name for arm in run.arms]
    rows = []
    for flip in found.of(way)[:SHOWN]:
        arms = (found.reference, found.arm)
        tiles = [
            (arm, order.index(arm), _tile(run, arm, flip, found.metric, pictures, thumbnails))
            for arm in arms
        ]
        prompt = run.prompts[flip.key.prompt_id].text
        rows.append(FlipRow(flip=flip, prompt=prompt, tiles=tuple(tiles)))
    return tuple(rows)


def _tile(
    run: RunRecord,
    arm: str,
    flip: Flip,
    metric: str,
    pictures: dict[tuple[str, SampleKey, int], Picture],
    thumbnails: Thumbnails,
) -> Tile | None:
    score = next(s for s in run.scores_of(arm, flip.key) if s.metric == metric)
    size = judged_size(run, arm, score)
    return tile(run, pictures[arm, flip.key, size], thumbnails) if size is not None else None


def flips_json(run: RunRecord) -> list[dict[str, Any]]:
    """Return every flip as plain data, one entry a probe and pair of arms."""
    return [
        {
            "metric": found.metric,
            "arm": found.arm,
            "reference": found.reference,
            "n": found.n,
            **{way: [_plain(run, flip) for flip in found.of(way)] for way in (LOST, WON)},
        }
        for found in find_flips(run)
    ]


def _plain(run: RunRecord, flip: Flip) -> dict[str, Any]:
    return {
        "prompt_id": flip.key.prompt_id,
        "seed": flip.key.seed,
        "prompt": run.prompts[flip.key.prompt_id].text,
        "asked": flip.asked,
        "reference_read": flip.reference_read,
        "arm_read": flip.arm_read,
    }
