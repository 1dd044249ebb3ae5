"""The answer in words: sentences made from the comparisons, and what they say of the finding.

A sentence claims a difference only when the comparison's verdict does and its interval excludes
zero; everything else is "cannot tell", which is also an answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dalle2eval.records import Comparison
from reports.number_text import NumberStyle, style_for
from reports.run_record import RunRecord
from reports.wording import direction, wording

SUPPORTING = ("composition.binding", "clip_score")
CLAIMS = ("better", "worse", "higher", "lower")
AGREES, DISAGREES, CANNOT_TELL = "agrees", "disagrees", "cannot tell"
_OPPOSITE = {"better": "worse", "worse": "better", "higher": "lower", "lower": "higher"}
_EXPECT = re.compile(
    r"(?P<metric>[\w.]+): (?P<arm>.+) (?P<way>better|worse|higher|lower) than (?P<other>.+)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingVerdict:
    """What was published, and whether this run agrees with it."""

    says: str
    source: str
    verdict: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The headline on the primary metric, one sentence more for each supporting metric."""

    headline: str
    supporting: tuple[str, ...]
    explains: str
    finding: FindingVerdict | None


def answer(run: RunRecord) -> Answer:
    """Put a run's outcome into words."""
    primary = run.plan.primary_metric
    others = [m for m in SUPPORTING if m != primary and _compared(run, m)]
    headline = sentence(run, primary) or _nothing(run)
    pairs = sorted({c.n_pairs for m in (primary, *others) for c in _compared(run, m)} - {0})
    size = f"{pairs[0]}" if len(pairs) == 1 else f"{pairs[0]} to {pairs[-1]}" if pairs else ""
    explains = (
        f"In brackets: the difference to the reference arm with its 95% interval, over {size} "
        "samples with the same prompt and seed. “Cannot tell” means that the interval includes "
        "zero or the difference did not survive the correction for many comparisons."
    )
    return Answer(
        headline=" ".join([headline, *uncompared(run)]),
        supporting=tuple(sentence(run, metric) for metric in others),
        explains=explains if size else "",
        finding=_finding(run),
    )


def sentence(run: RunRecord, metric: str) -> str:
    """Return one sentence on every arm's difference; empty when none was compared."""
    compared = _compared(run, metric)
    if not compared:
        return ""
    style = style_for(run, metric)
    clauses = []
    for reference in dict.fromkeys(c.reference for c in compared):
        group = [c for c in compared if c.reference == reference]
        clauses += _clauses(group, _reference_text(run, metric, style, reference), style)
    text = "; ".join(clauses)
    return f"{_subject(run, metric)}, {text}."


def uncompared(run: RunRecord) -> list[str]:
    """Return a sentence on the arms that stand alone because their reference arm was not run."""
    arms: dict[str, list[str]] = {}
    for arm, reference in run.references_not_run.items():
        arms.setdefault(reference, []).append(arm)
    return [
        f"No comparison of {_and(names)}: {'its' if len(names) == 1 else 'their'} reference arm "
        f"{reference} was not run."
        for reference, names in arms.items()
    ]


def _compared(run: RunRecord, metric: str) -> list[Comparison]:
    found = (run.comparison(arm.name, metric) for arm in run.arms)
    return [c for c in found if c is not None]


def _subject(run: RunRecord, metric: str) -> str:
    ways = {e.higher_is_better for (_, m, _), e in run.estimates.items() if m == metric}
    title = wording(metric).title
    name = f"{title} ({metric}" if title != metric else f"{metric} ("
    way = direction(ways.pop() if ways else None)[2:] if ways != {None} else "no good direction"
    return f"By {name}, {way})" if title != metric else f"By {name}{way})"


def _reference_text(run: RunRecord, metric: str, style: NumberStyle, reference: str) -> str:
    estimate = run.estimates.get((reference, metric, "all"))
    if estimate is None or estimate.value is None:
        return reference
    interval = style.interval(estimate.low, estimate.high)
    return f"{reference} ({style.value(estimate.value)} {interval})"


def _clauses(group: Sequence[Comparison], reference: str, style: NumberStyle) -> list[str]:
    """Return ``a and b are worse than c``, for each verdict that occurs."""
    clauses = []
    for claim in CLAIMS:
        arms = [_with_numbers(c, style) for c in group if claimed(c) == claim]
        if arms:
            verb = "is" if len(arms) == 1 else "are"
            clauses.append(f"{_and(arms)} {verb} {claim} than {reference}")
            reference = reference.split(" (", 1)[0]  # its own number is told once
    unsure = [_with_numbers(c, style) for c in group if claimed(c) == CANNOT_TELL]
    if unsure:
        verb = "differs" if len(unsure) == 1 else "differ"
        clauses.append(f"whether {_and(unsure)} {verb} from {reference}, this run cannot tell")
    missing = [f"{c.arm} ({c.reason or 'no reason given'})" for c in group if claimed(c) is None]
    if missing:
        clauses.append(f"not compared: {_and(missing)}")
    return clauses


def claimed(comparison: Comparison) -> str | None:
    """Return a claim, ``cannot tell``, or None when nothing was compared."""
    if comparison.difference is None or comparison.low is None or comparison.high is None:
        return None
    if comparison.low <= 0 <= comparison.high or comparison.verdict not in CLAIMS:
        return CANNOT_TELL
    return comparison.verdict


def _with_numbers(comparison: Comparison, style: NumberStyle) -> str:
    difference = style.difference(comparison)
    if style.percent:
        difference = difference.replace(" ", " points ", 1)
    return f"{comparison.arm} ({difference})"


def _and(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _nothing(run: RunRecord) -> str:
    if not run.scores and not any(e.value is not None for e in run.estimates.values()):
        return "Nothing can be said: no image of this run was scored."
    if len(run.arms) == 1:
        return f"Nothing is compared: the run has one arm, {run.arms[0].name}."
    return f"Nothing can be said: no arm was compared with another by {run.plan.primary_metric}."


def _finding(run: RunRecord) -> FindingVerdict | None:
    finding = run.plan.finding
    if not finding:
        return None
    verdict, because = _against_finding(run, finding.get("expect"))
    return FindingVerdict(
        says=finding.get("says", ""),
        source=finding.get("source", ""),
        verdict=verdict,
        because=because,
    )


def _against_finding(run: RunRecord, expect: str | None) -> tuple[str, str]:
    if not expect:
        return CANNOT_TELL, "the suite names no comparison that would test it (finding.expect)"
    match = _EXPECT.fullmatch(expect)
    if match is None:
        return CANNOT_TELL, f"its expectation is not “metric: arm better than arm”: {expect[:80]}"
    metric, arm, way, other = match.group("metric", "arm", "way", "other")
    found = run.comparison(arm, metric)
    if found is None or found.reference != other:
        found, way = run.comparison(other, metric), _OPPOSITE[way]
    if found is None or {found.arm, found.reference} != {arm, other}:
        return CANNOT_TELL, f"this run did not compare {arm} with {other} by {metric}"
    clause = _clauses([found], found.reference, style_for(run, metric))[0]
    verdict = {way: AGREES, _OPPOSITE[way]: DISAGREES}.get(claimed(found) or "", CANNOT_TELL)
    return verdict, f"expected “{expect}”; {clause}"
