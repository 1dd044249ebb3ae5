"""The picture rows: one prompt and seed a row, one arm a column, each picture with its verdicts.

Arms share their noise, so a row shows what an arm's one change did to the very same picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from dalle2eval.records import SampleKey, Score
from reports.facts_text import asked_and_read, shorten
from reports.pictures import Thumbnails
from reports.run_record import Picture, RunRecord
from reports.wording import probe_of, wording

TEXT_SIZE = 256  # words are judged at this size: 64 pixels are too few for OCR
SHOWCASE_SIZE = 512  # from here on pictures are for looking at


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one probe said of one picture: ``kind`` is pass, fail or unscored."""

    metric: str
    kind: str
    symbol: str
    label: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One picture of a row; ``uri`` is None when the page had no room, ``href`` its original."""

    arm: str
    index: int
    uri: str | None
    href: str
    alt: str
    size: int
    verdicts: tuple[Verdict, ...]
    scores: Mapping[str, float | None]
    read: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureRow:
    """One prompt and seed; a tile is None where the arm has no such picture."""

    prompt_id: str
    prompt: str
    seed: int
    tags: tuple[str, ...]
    tiles: tuple[Tile | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureGroup:
    """The rows of one task at one size."""

    title: str
    size: int
    rows: tuple[PictureRow, ...]


def picture_groups(run: RunRecord, thumbnails: Thumbnails) -> tuple[PictureGroup, ...]:
    """Return the rows, grouped by size (large first: what one looks at) and the prompt's task."""
    by_size: dict[int, dict[str, dict[SampleKey, dict[str, Picture]]]] = {}
    for picture in run.gallery:
        groups = by_size.setdefault(picture.size, {})
        rows = groups.setdefault(_task(run, picture), {})
        rows.setdefault(picture.key, {})[picture.arm] = picture
    return tuple(
        PictureGroup(
            title=task,
            size=size,
            rows=tuple(_row(run, key, row, thumbnails) for key, row in _in_order(run, rows)),
        )
        for size, groups in sorted(by_size.items(), reverse=True)
        for task, rows in _merged(size, groups).items()
    )


def _task(run: RunRecord, picture: Picture) -> str:
    tags = run.prompts[picture.key.prompt_id].tags
    return tags[0] if tags else "prompts"


def _merged(
    size: int, groups: Mapping[str, dict[SampleKey, dict[str, Picture]]]
) -> Mapping[str, dict[SampleKey, dict[str, Picture]]]:
    """Join the tasks of the few pictures that are for looking at."""
    if size < SHOWCASE_SIZE:
        return groups
    return {"showcase": {key: row for rows in groups.values() for key, row in rows.items()}}


def _in_order(
    run: RunRecord, rows: Mapping[SampleKey, dict[str, Picture]]
) -> Iterable[tuple[SampleKey, dict[str, Picture]]]:
    place = {prompt_id: i for i, prompt_id in enumerate(run.prompts)}
    return sorted(rows.items(), key=lambda item: (place[item[0].prompt_id], item[0].seed))


def _row(
    run: RunRecord, key: SampleKey, row: Mapping[str, Picture], thumbnails: Thumbnails
) -> PictureRow:
    prompt = run.prompts[key.prompt_id]
    tiles = [tile(run, row[arm.name], thumbnails) if arm.name in row else None for arm in run.arms]
    return PictureRow(
        prompt_id=key.prompt_id,
        prompt=prompt.text,
        seed=key.seed,
        tags=prompt.tags,
        tiles=tuple(tiles),
    )


def tile(run: RunRecord, picture: Picture, thumbnails: Thumbnails) -> Tile:
    """Return one picture with its verdicts."""
    scores = [
        score
        for score in run.scores_of(picture.arm, picture.key)
        if judged_size(run, picture.arm, score) == picture.size
    ]
    prompt = run.prompts[picture.key.prompt_id].text
    verdicts = [score for score in scores if wording(score.metric).share]
    reads = dict.fromkeys(asked_and_read(score)[1] for score in verdicts if score.value == 0)
    return Tile(
        arm=picture.arm,
        index=[arm.name for arm in run.arms].index(picture.arm),
        uri=thumbnails.uri(picture),
        href=quote(picture.path),
        alt=f"{shorten(picture.arm, 60)}, seed {picture.key.seed}: {shorten(prompt)}",
        size=picture.size,
        verdicts=tuple(map(_verdict, verdicts)),
        scores={score.metric: score.value for score in scores},
        read="; ".join(filter(None, reads)),
    )


def judged_size(run: RunRecord, arm: str, score: Score) -> int | None:
    """Return the size of the picture that a score was made from; None when no picture was kept."""
    sizes = run.sizes.get((arm, score.key), frozenset())
    if probe_of(score.metric) == "text" and TEXT_SIZE in sizes:
        return TEXT_SIZE
    return min(sizes, default=None)


def _verdict(score: Score) -> Verdict:
    kind, symbol, text = "fail", "✗", "wrong"
    if score.value is None:
        kind, symbol, text = "unscored", "?", f"not judged: {score.reason}"
    elif score.value == 1:
        kind, symbol, text = "pass", "✓", "right"
    label = wording(score.metric).label
    return Verdict(metric=score.metric, kind=kind, symbol=symbol, label=label, text=text)
