"""What a reader must know before trusting a number: the run's own notes and what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from reports.answer import uncompared
from reports.facts_text import shorten
from reports.pictures import Thumbnails
from reports.run_record import RunRecord


def cautions(run: RunRecord, thumbnails: Thumbnails) -> tuple[str, ...]:
    """Return every caution and omission, one sentence each."""
    return (
        *run.notes,
        *uncompared(run),
        *_failed_judges(run),
        *_unmeasured(run),
        *_samples(run),
        *_unreadable(run),
        *_pictures(thumbnails),
    )


def _failed_judges(run: RunRecord) -> list[str]:
    return [
        f"The judge “{test.judge}” failed its self-test on {test.task}: {test.accuracy:.1%} right, "
        f"{test.floor:.1%} needed; its scores are not to be trusted."
        for test in run.self_tests
        if not test.passed
    ]


def _unmeasured(run: RunRecord) -> list[str]:
    missing = [metric for metric in run.plan.metrics if metric not in run.metrics]
    return [f"Asked for, but not measured: {', '.join(missing)}."] if missing else []


def _samples(run: RunRecord) -> list[str]:
    unmade = [(arm, c.asked - c.made, c.asked) for arm, c in run.counts.items() if c.made < c.asked]
    unscored = [(arm, c.unscored, c.asked) for arm, c in run.counts.items() if c.unscored]
    texts = []
    if unmade:
        texts.append(f"Images not made: {_counted(unmade)}.")
    if unscored:
        texts.append(
            f"Samples with a score that no grader could give: {_counted(unscored)}; "
            f"they are in no average{_commonest(c.unscored_why for c in run.counts.values())}."
        )
    return texts


def _unreadable(run: RunRecord) -> list[str]:
    """Say how many pictures count as wrong because the exact reader could not read them."""
    found = [(arm, c.unreadable, c.made) for arm, c in run.counts.items() if c.unreadable]
    if not found:
        return []
    return [
        f"Pictures that the exact reader could not read count as wrong: {_counted(found)}"
        f"{_commonest(c.unreadable_why for c in run.counts.values())}."
    ]


def _commonest(reasons: Iterable[Mapping[str, int]]) -> str:
    """Return the most frequent reason of all arms in brackets; nothing where none is told."""
    total: Counter[str] = Counter()
    for told in reasons:
        total.update(told)
    if not total:
        return ""
    [(reason, count)] = total.most_common(1)
    return f" (most often, {count} times: {shorten(reason)})"


def _counted(found: Sequence[tuple[str, int, int]]) -> str:
    return ", ".join(f"{arm} {part} of {whole}" for arm, part, whole in found)


def _pictures(thumbnails: Thumbnails) -> list[str]:
    if not thumbnails.left_out:
        return []
    return [
        f"{len(thumbnails.left_out)} pictures are linked, not shown, to keep this page small; "
        "all lie beside it in samples/."
    ]
