"""Scores anyone's images and leaves a run folder like any other (docs/design/001-run-folder.md).

Called again with the same folder it reads the images once more and finds their features in the
store, so that nothing is computed twice and a killed run goes on.
"""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from PIL import Image

from ablations.events import Events
from ablations.progress import LINE_EVERY_S, clock
from ablations.run_folder import (
    COMPARISONS,
    CONTRIBUTIONS,
    ESTIMATES,
    SCORES,
    claim,
    score_columns,
    write_json,
    write_table,
)
from ablations.score_plan import ARM, ImageSet, ScoreWork
from ablations.score_rows import contribution_row, score_row
from dalle2eval.evaluate import (
    CLIP_SCORE,
    R_PRECISION,
    Evidence,
    Measures,
    clip_scores,
    contributions,
    estimate,
    r_precision_scores,
)
from dalle2eval.features.one_pass import Measured, PassResult, embed_prompts, extract
from dalle2eval.images import BadFile, decode
from dalle2eval.records import Estimate, SampleKey, Score, to_json
from dalle2eval.statistics import Features
from dalle2eval.store import check_writable, encode_png, write_atomic

GALLERY, THUMBNAIL = 64, 256  # pictures kept in the run folder, and their longer side
SHOWN_BAD = 20  # files by name in the report's notes
SCENES_ONLY = (
    "The scenes judge knows the procedural world alone; over other images its numbers mean little."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreSite:
    """Where a scoring works.

    Attributes:
        folder: the run folder.
        store: folder of the artefacts, features among them.
        environment: describes this machine.
        progress: where progress goes; None for silence.
    """

    folder: Path
    store: Path
    environment: Callable[[], Mapping[str, Any]]
    progress: TextIO | None = None


def run_score(work: ScoreWork, site: ScoreSite) -> Path:
    """Do the work, write the run folder and return it.

    Raises:
        BadFilesError: a file turned out bad when decoded, and is not to be skipped.
        InputError: a place cannot be written, or the folder holds another plan.
        DiskFullError: a disk is full; what is done stays done.
    """
    started = time.monotonic()
    check_writable(site.store, "--store")
    with claim(site.folder, work.plan) as diary:
        events = Events(diary)
        events.write("begin", files=len(work.images.items))
        if not (site.folder / "environment.json").exists():
            write_json(site.folder / "environment.json", site.environment())
        made = _measure(work, work.images, site, "images")
        real = None
        if work.reference is not None:
            real = _measure(work, work.reference, site, "reference images")
        _write(work, site, made, real)
        seconds = time.monotonic() - started
        events.write("finish", seconds=round(seconds, 2), peak_memory_mb=_peak_memory_mb())
    return site.folder


def _measure(work: ScoreWork, images: ImageSet, site: ScoreSite, what: str) -> PassResult:
    return extract(
        images.collection,
        images.names,
        work.extractors,
        store=site.store,
        skip_bad=work.skip_bad,
        tell=_teller(site.progress, what),
    )


def _teller(progress: TextIO | None, what: str) -> Callable[[int, int], None]:
    """Return what tells of progress: a plain line every few seconds, and the last one."""
    started = last = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if progress is None or (now - last < LINE_EVERY_S and done < total):
            return
        last, rate = now, done / max(now - started, 1e-9)
        left = clock((total - done) / rate)
        progress.write(f"{what}: {done} of {total}, {rate:.3g} a second, {left} left\n")
        progress.flush()

    return tell


def _write(work: ScoreWork, site: ScoreSite, made: PassResult, real: PassResult | None) -> None:
    """Write the numbers and the pictures."""
    keys, bad = _keys(work.images, made), (*work.images.bad, *made.bad)
    scores = _scores(work, site.store, made, keys) + _unscored(work, bad)
    estimates, added = list(_over_scores(work, scores)), []
    for evidence, measures in _judged(work, made, real, keys):
        found = estimate(evidence, measures)
        estimates += [replace(each, num_unscored=len(bad)) for each in found]
        added += _contributed(evidence, measures)
    order = {question.metric.name: row for row, question in enumerate(work.questions)}
    estimates.sort(key=lambda each: order[each.metric])
    rows = [{"arm": ARM, **to_json(each)} for each in estimates]
    folder = site.folder
    lines = (score_columns(ARM, score_row(score)) for score in scores)
    write_table(folder / "scores.parquet", lines, SCORES)
    write_table(folder / "contributions.parquet", added, CONTRIBUTIONS)
    write_table(folder / "estimates.parquet", rows, ESTIMATES)
    write_table(folder / "comparisons.parquet", [], COMPARISONS)
    plan = to_json(work.plan)
    head = ("schema_version", "suite", "question", "finding", "primary_metric", "arms")
    summary = {
        **{name: plan[name] for name in head},
        "fingerprint": work.plan.fingerprint,
        "estimates": rows,
        "comparisons": [],
        "counts": {ARM: _counts(work, keys, bad)},
        "gallery": _gallery(work, site.folder, made),
        "self_tests": [],
        "cost": _cost(made, real),
        "notes": _notes(work, bad, _bad_reference(work, real)),
    }
    write_json(folder / "summary.json", summary)


def _counts(work: ScoreWork, keys: Sequence[SampleKey], bad: Sequence[BadFile]) -> dict[str, Any]:
    """Count the images: all were made by somebody, the bad ones could not be scored."""
    asked = len(work.images.items)
    why = dict(Counter(file.reason for file in bad).most_common())
    counts = {"asked": asked, "made": asked, "scored": len(keys), "unscored": len(bad)}
    return {**counts, "unscored_why": why}


def _bad_reference(work: ScoreWork, real: PassResult | None) -> tuple[BadFile, ...]:
    if work.reference is None or real is None:
        return ()
    return (*work.reference.bad, *real.bad)


def _keys(images: ImageSet, made: PassResult) -> tuple[SampleKey, ...]:
    by_name = {item.name: item.key for item in images.items}
    return tuple(by_name[name] for name in made.good)


def _features(measured: Measured, keys: Sequence[SampleKey]) -> Features:
    values = measured.table.astype(np.float64)
    return Features(keys=tuple(keys), values=values, extractor=measured.label)


def _judged(
    work: ScoreWork, made: PassResult, real: PassResult | None, keys: tuple[SampleKey, ...]
) -> Iterator[tuple[Evidence, Measures]]:
    """Yield what is measured over features, one extractor at a time."""
    for family in dict.fromkeys(question.family for question in work.questions):
        metrics = tuple(
            q.metric
            for q in work.questions
            if q.family == family and q.metric.needs.startswith("features")
        )
        if not metrics:
            continue
        reference = None
        if real is not None and work.reference is not None:
            reference = _features(real.measured[family], _keys(work.reference, real))
        measures = Measures(
            metrics=metrics,
            prompts={prompt.id: prompt for prompt in work.plan.prompts},
            reference=reference,
        )
        yield Evidence(features=_features(made.measured[family], keys), scores=()), measures


def _contributed(evidence: Evidence, measures: Measures) -> list[dict[str, Any]]:
    """Return what each image adds to the metrics over the set, for `dalle2eval compare`.

    Not to recall and coverage, which have no derivative: a jackknife of twenty passes would be made
    a second time.
    """
    cheap = tuple(m for m in measures.metrics if m.estimator not in ("recall", "coverage"))
    found = contributions(evidence, replace(measures, metrics=cheap))
    return [{"arm": ARM, **contribution_row(each)} for each in found]


def _over_scores(work: ScoreWork, scores: tuple[Score, ...]) -> tuple[Estimate, ...]:
    metrics = tuple(q.metric for q in work.questions if q.metric.needs == "images+texts")
    prompts = {prompt.id: prompt for prompt in work.plan.prompts}
    return estimate(
        Evidence(features=None, scores=scores), Measures(metrics=metrics, prompts=prompts)
    )


def _scores(
    work: ScoreWork, store: Path, made: PassResult, keys: Sequence[SampleKey]
) -> tuple[Score, ...]:
    """Return the scores of single images with their texts."""
    asked = [q for q in work.questions if q.metric.needs == "images+texts"]
    if not asked or not keys:
        return ()
    family = asked[0].family
    judge: Any = next(each for each in work.extractors if each.family == family)
    by_id = {prompt.id: prompt.text for prompt in work.plan.prompts}
    prompts = [by_id[key.prompt_id] for key in keys]
    texts = embed_prompts(judge, prompts, store)
    images = made.measured[family].table
    names = {question.metric.name for question in asked}
    scores: tuple[Score, ...] = ()
    if CLIP_SCORE in names:
        scores += clip_scores(keys, images, texts)
    if R_PRECISION in names:
        scores += r_precision_scores(keys, images, texts, prompts)
    return scores


def _unscored(work: ScoreWork, bad: Sequence[BadFile]) -> tuple[Score, ...]:
    """Return the scores that bad files do not have."""
    by_name = {item.name: item.key for item in work.images.items}
    return tuple(
        Score(key=by_name[file.name], metric=q.metric.name, value=None, reason=file.reason)
        for q in work.questions
        if q.metric.needs == "images+texts"
        for file in bad
    )


def _gallery(work: ScoreWork, folder: Path, made: PassResult) -> list[dict[str, Any]]:
    """Keep the first pictures, small, and return where they lie."""
    rows = []
    keys = _keys(work.images, made)
    for number, (name, key) in enumerate(zip(made.good[:GALLERY], keys, strict=False)):
        path = f"samples/{ARM}/{THUMBNAIL}/{number:05d}.png"
        small = Image.fromarray(decode(work.images.collection.read(name)))
        small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
        write_atomic(folder / path, encode_png(np.asarray(small)))
        row = {"arm": ARM, "prompt_id": key.prompt_id, "seed": key.seed}
        rows.append({**row, "size": THUMBNAIL, "path": path})
    return rows


def _cost(made: PassResult, real: PassResult | None) -> dict[str, Any]:
    stages = {}
    passes = [("", made), *([("reference ", real)] if real is not None else [])]
    for prefix, result in passes:
        for family, each in result.measured.items():
            stages[f"{prefix}{family}"] = {
                "units": len(result.good),
                "cached": each.num_cached,
                "images": len(result.good),
                "forward_passes": each.num_batches,
                "seconds": round(each.seconds, 3),
            }
    total = sum(row["seconds"] for row in stages.values())
    return {"total_s": round(total, 2), "peak_memory_mb": _peak_memory_mb(), "stages": stages}


def _notes(work: ScoreWork, bad: Sequence[BadFile], bad_reference: Sequence[BadFile]) -> list[str]:
    notes = [SCENES_ONLY] if any(e.family == "scenes" for e in work.extractors) else []
    for what, files in (("images", bad), ("reference images", bad_reference)):
        if files:
            named = "; ".join(f"{file.name}: {file.reason}" for file in files[:SHOWN_BAD])
            more = f"; and {len(files) - SHOWN_BAD} more" if len(files) > SHOWN_BAD else ""
            notes.append(f"{len(files)} {what} were counted out ({named}{more}).")
    if work.images.collection.num_others:
        notes.append(
            f"{work.images.collection.num_others} other files lie with the images; they were not "
            "looked at."
        )
    return notes


def _peak_memory_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
