"""What ``dalle2eval score`` will do, checked and frozen before any work: images, prompts, metrics.

Every file is looked at first, and the plan holds the hash of every byte that decides a number, so
that equal plans mean equal numbers and another collection of the same name is another plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablations.score_metrics import Question, Supply, choose
from ablations.tasks import source_hash
from dalle2eval.features.extractor import Extractor
from dalle2eval.images import (
    BadFile,
    Collection,
    Item,
    check_files,
    items_for,
    items_without_prompts,
    open_collection,
)
from dalle2eval.images.checking import refuse_bad
from dalle2eval.records import ArmSpec, Plan, Prompt

ARM = "images"
CODE = tuple(f"dalle2eval.{room}" for room in ("evaluate", "features", "images", "metrics"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRequest:
    """What the user asks for.

    Attributes:
        images: a folder, a zip or a tar.
        prompts: a .jsonl, .csv or .txt; None when they are unknown.
        reference: real images, likewise.
        metrics: families or names of the table; the usual ones when empty.
        limit: of prompts; all when None.
        skip_bad: count out files that cannot be scored, in place of stopping.
    """

    images: Path
    prompts: Path | None = None
    reference: Path | None = None
    metrics: tuple[str, ...] = ()
    limit: int | None = None
    skip_bad: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageSet:
    """The images to be scored, or the real ones.

    Attributes:
        items: all that were asked for, the bad ones included.
        bad: files that the first look found bad.
        content: SHA-256 over names and bytes.
    """

    collection: Collection
    items: tuple[Item, ...]
    bad: tuple[BadFile, ...]
    content: str

    @property
    def names(self) -> tuple[str, ...]:
        """Return the files to be read."""
        bad = {file.name for file in self.bad}
        return tuple(item.name for item in self.items if item.name not in bad)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoreWork:
    """All that is to be done."""

    plan: Plan
    images: ImageSet
    reference: ImageSet | None
    extractors: tuple[Extractor, ...]
    questions: tuple[Question, ...]
    skip_bad: bool


def plan_score(request: ScoreRequest, extractors: Sequence[Extractor]) -> ScoreWork:
    """Check everything and freeze it.

    Raises:
        BadFilesError: files cannot be scored and are not to be skipped; names every one.
        InputError: a place, the prompts or a metric is wrong.
    """
    supply = Supply(
        families=tuple(extractor.family for extractor in extractors),
        reference=request.reference is not None,
        texts=request.prompts is not None,
    )
    questions = choose(request.metrics, supply)
    images = _gather(request.images, request.prompts, request)
    reference = None if request.reference is None else _gather(request.reference, None, None)
    for found in (images, reference):
        if found is not None and (not request.skip_bad or not found.names):
            refuse_bad(found.collection, found.bad, len(found.items))
    return ScoreWork(
        plan=_plan(request, images, reference, extractors, questions),
        images=images,
        reference=reference,
        extractors=tuple(extractors),
        questions=questions,
        skip_bad=request.skip_bad,
    )


def _gather(place: Path, manifest: Path | None, request: ScoreRequest | None) -> ImageSet:
    collection = open_collection(place)
    if manifest is None:
        items = items_without_prompts(collection.names)
    else:
        items = items_for(collection.names, manifest)
    if request is not None and request.limit is not None:
        kept = set(list(dict.fromkeys(item.key.prompt_id for item in items))[: request.limit])
        items = tuple(item for item in items if item.key.prompt_id in kept)
    checked = check_files(collection, [item.name for item in items])
    return ImageSet(collection=collection, items=items, bad=checked.bad, content=checked.content)


def _plan(
    request: ScoreRequest,
    images: ImageSet,
    reference: ImageSet | None,
    extractors: Sequence[Extractor],
    questions: Sequence[Question],
) -> Plan:
    texts = {item.key.prompt_id: item.prompt or "" for item in images.items}
    name = request.images.resolve().name
    return Plan(
        suite="score",
        question=f"How good are the images of {name}?",
        finding=None,
        model={"name": name},
        arms=(ArmSpec(name=ARM, reference=None, changes={}, settings={}),),
        prompts=tuple(Prompt(id=id_, text=text) for id_, text in texts.items()),
        seeds=tuple(sorted({item.key.seed for item in images.items})),
        metrics=tuple(question.metric.name for question in questions),
        probes=(),
        primary_metric=questions[0].metric.name,
        options=_options(request, images, reference, extractors),
    )


def _options(
    request: ScoreRequest,
    images: ImageSet,
    reference: ImageSet | None,
    extractors: Sequence[Extractor],
) -> dict[str, Any]:
    real = None
    if reference is not None:
        real = {"name": reference.collection.place.resolve().name, "content": reference.content}
    return {
        "images": images.content,
        "reference": real,
        "extractors": {
            each.family: {"weights": each.weights, "preprocessing": each.preprocessing}
            for each in extractors
        },
        "skip_bad": request.skip_bad,
        "code": source_hash(*CODE, "dalle2eval.statistics"),
    }
