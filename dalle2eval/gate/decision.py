"""The gate as a whole: a run against a baseline, and the exit code that follows.

Refused first (12): other prompts, seeds, sizes or extractors, an arm, a metric or a picture that is
gone. Then regressions (10): a tripped wire or a gating metric. Inconclusive is told, and fails only
where asked for (11): a gate that fails whenever it cannot tell is soon switched off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dalle2eval.gate.baseline import Baseline, conditions_of
from dalle2eval.gate.changed import ChangedImage, changed_images
from dalle2eval.gate.measured import measured_arms
from dalle2eval.gate.tripwires import LOST, Tripped, tripped
from dalle2eval.gate.verdicts import GateRow, corrected, judge_arm
from dalle2eval.records import NotComparable
from reports.run_record import RunRecord

PASS, REGRESSION, INCONCLUSIVE, NOT_COMPARABLE = 0, 10, 11, 12
MUST_AGREE = {
    "suite": "suite",
    "prompts": "prompts",
    "sizes": "picture sizes",
    "reference": "reference images",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the gate found.

    Attributes:
        rows: of every arm and metric of the baseline.
        tripped: broken pictures.
        cautions: what differs without making the comparison void, such as another machine.
        accepted: who accepted the baseline, when and why.
        changed: the images that changed most, the most first.
        refused: why nothing was compared; None where it was.
    """

    rows: tuple[GateRow, ...]
    tripped: tuple[Tripped, ...]
    cautions: tuple[str, ...]
    accepted: Mapping[str, Any]
    changed: tuple[ChangedImage, ...] = ()
    refused: str | None = None

    def exit_code(self, *, strict: bool = False) -> int:
        """Return 12, 10, 11 (strict only) or 0, the gravest first."""
        gating = [row.verdict for row in self.rows if row.gating]
        faults = {wire.fault for wire in self.tripped}
        if self.refused or "not comparable" in gating or faults & set(LOST):
            return NOT_COMPARABLE
        if "regression" in gating or faults:
            return REGRESSION
        return INCONCLUSIVE if strict and "inconclusive" in gating else PASS


def refusal(reason: str) -> Decision:
    """Return the decision about another experiment: CI reads an answer all the same."""
    return Decision(rows=(), tripped=(), cautions=(), accepted={}, refused=reason)


def decide(run: RunRecord, baseline: Baseline) -> Decision:
    """Hold a run against a baseline.

    Raises:
        NotComparable: it is another experiment: suite, prompts, seeds, sizes or arms.
    """
    conditions = conditions_of(run)
    for name, words in MUST_AGREE.items():
        if conditions[name] != baseline.conditions.get(name):
            raise NotComparable(
                f"{words}: not the baseline's ({_brief(conditions[name])}, "
                f"baseline {_brief(baseline.conditions.get(name))}); accept a new baseline"
            )
    current = measured_arms(run)
    gone = [name for name in baseline.arms if name not in current]
    if gone:
        raise NotComparable(f"the run has no arm {gone[0]!r}; its arms are {', '.join(current)}")
    rows = [
        row
        for name, arm in baseline.arms.items()
        for row in judge_arm(arm, current[name], baseline.floors)
    ]
    return Decision(
        rows=tuple(corrected(rows)),
        tripped=tuple(tripped(run)),
        cautions=tuple(_cautions(conditions, baseline.conditions)),
        accepted=baseline.accepted,
        changed=changed_images(run, baseline.arms, current),
    )


def _cautions(conditions: Mapping[str, Any], accepted: Mapping[str, Any]) -> list[str]:
    found = []
    if conditions["machine"] != accepted.get("machine"):
        found.append(
            "another machine than the baseline's: equal code gives equal pictures only within "
            "rounding; calibrate on this one"
        )
    ours, theirs = conditions["packages"], accepted.get("packages", {})
    changed = [
        f"{name} {theirs.get(name)} -> {ours[name]}"
        for name in sorted(ours)
        if ours[name] != theirs.get(name) and name != "dalle2eval"
    ]
    if changed:
        found.append("other packages: " + ", ".join(changed))
    return found


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else text[:12] + "…"  # noqa: PLR2004
