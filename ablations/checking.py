"""Does everything exist that a suite names? Asked before any work, answered at its place.

The model, the prompt sets and the tables of metrics and probes are asked by `resolving`; here is
what their answers are held against.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from ablations.loading import LoadedSuite
from ablations.located_yaml import Path
from ablations.suite import Suite
from dalle2eval.records import ALL, ArmSpec
from dalle2eval.spelling import nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """What a suite may name: metrics, and probes with the metrics that they give."""

    metrics: frozenset[str]
    probes: Mapping[str, tuple[str, ...]]


class at:  # noqa: N801  (reads as a statement: with at(place): ...)
    """Put the place of a path before an InputError that is raised inside."""

    def __init__(self, loaded: LoadedSuite, path: Path) -> None:
        self.loaded, self.path = loaded, path

    def __enter__(self) -> None:
        """Do nothing; the work is in the exit."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, ValueError):
            raise self.loaded.document.error(self.path, str(error)) from None


def check_tables(loaded: LoadedSuite, tables: Tables) -> None:
    """Refuse metrics and probes that are in no table."""
    suite = loaded.suite
    for field, names, known in (
        ("metrics", suite.metrics, tables.metrics),
        ("probes", suite.probes, frozenset(tables.probes)),
    ):
        for index, name in enumerate(names):
            if name not in known:
                message = f'no {field[:-1]} "{name}"{nearest(name, known)}'
                raise loaded.document.error((field, index), message)


def measured(suite: Suite, tables: Tables) -> list[str]:
    """Return the metrics that a suite measures: its own, then those of its probes."""
    return [*suite.metrics, *(m for probe in suite.probes for m in tables.probes[probe])]


def primary_metric(loaded: LoadedSuite, tables: Tables) -> str:
    """Return the metric that the answer is about: the one named, or the first."""
    suite = loaded.suite
    found = measured(suite, tables)
    if suite.primary_metric is None:
        if not found:
            raise loaded.document.error((), "a suite measures something: give metrics or probes")
        return found[0]
    if suite.primary_metric not in found:
        message = f'"{suite.primary_metric}" is not measured{nearest(suite.primary_metric, found)}'
        raise loaded.document.error(("primary_metric",), message)
    return suite.primary_metric


def check_expectation(loaded: LoadedSuite, tables: Tables, arms: Sequence[ArmSpec]) -> None:
    """Refuse a `finding.expect` that no run of the suite could confirm.

    Args:
        loaded: the suite.
        tables: what it may name.
        arms: all of the suite, also those that this run leaves out.

    Raises:
        InputError: it names a metric or arm that the suite has not, or two arms of which neither
            is the other's reference arm.
    """
    expected = loaded.suite.finding and loaded.suite.finding.expected
    if not expected:
        return
    references = {spec.name: spec.reference for spec in arms}
    known = {"metric": measured(loaded.suite, tables), "arm": list(references)}
    named = (("metric", expected.metric), ("arm", expected.arm), ("arm", expected.other))
    path = ("finding", "expect")
    for what, name in named:
        if name not in known[what]:
            message = f'finding.expect: this suite has no {what} "{name}"'
            raise loaded.document.error(path, message + nearest(name, known[what]))
    first, second = expected.arm, expected.other
    if references[first] != second and references[second] != first:
        message = f'finding.expect: neither of "{first}" and "{second}" has the other as reference'
        raise loaded.document.error(path, message)


def check_sizes(
    loaded: LoadedSuite, plan_stages: Callable[[int], object], tags: Collection[str]
) -> None:
    """Refuse sizes that the model does not make, and slices that no prompt belongs to.

    Args:
        loaded: the suite.
        plan_stages: of the model, by size in pixels; raises ValueError for what it does not make.
        tags: of every prompt of the suite's set.
    """
    suite = loaded.suite
    for tag in suite.sizes:
        if tag != ALL and tag not in tags:
            message = f'no prompt of {suite.prompts.source} is in a slice "{tag}"'
            raise loaded.document.error(("sizes", tag), message + nearest(tag, [ALL, *tags]))
    asked: list[tuple[Path, int]] = [(("sizes", tag), size) for tag, size in suite.sizes.items()]
    if suite.showcase is not None:
        asked.append((("showcase", "size"), suite.showcase.size))
    for path, size in asked:
        with at(loaded, path):
            plan_stages(size)
