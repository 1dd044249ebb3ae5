"""The gate as an assertion, for a test suite: `assert_no_regression(run, baseline)`.

    from dalle2eval.gate.testing import assert_no_regression

    def test_the_samples_are_as_good_as_accepted(run_folder):
        assert_no_regression(run_folder, "baselines/gate.json")

It needs no pytest: an AssertionError is what every runner of tests understands.
"""

from __future__ import annotations

from pathlib import Path

from dalle2eval.gate.decision import INCONCLUSIVE, PASS, Decision
from dalle2eval.gate.front import check
from dalle2eval.gate.outputs import ANSWERS, row_text
from dalle2eval.gate.verdicts import GateRow

FAILING = ("regression", "not comparable")
SHOWN = 20  # broken pictures in the message


def assert_no_regression(run: str | Path, baseline: str | Path, *, strict: bool = False) -> None:
    """Hold a finished run against an accepted baseline; say which metrics fail.

    Args:
        run: folder of a finished run.
        baseline: file that `dalle2eval gate accept` wrote.
        strict: fail also where the gate cannot tell.

    Raises:
        AssertionError: a gating metric is worse or lost, a picture is broken, or (strict) it cannot
            be told; the message has a line for each.
        InputError: the run or the baseline is missing, damaged or from a newer release.
        NotComparable: they are not the same experiment.
    """
    decision = check(run, baseline)
    code = decision.exit_code(strict=strict)
    if code != PASS:
        lines = _failures(decision, strict=strict and code == INCONCLUSIVE)
        head = f"sample quality: {ANSWERS[code]} against {baseline}"
        raise AssertionError("\n  ".join([head, *lines]))


def _failures(decision: Decision, *, strict: bool) -> list[str]:
    wanted = (*FAILING, "inconclusive") if strict else FAILING
    rows = [row for row in decision.rows if row.gating and row.verdict in wanted]
    broken = [wire.text for wire in decision.tripped]
    more = [f"{len(broken) - SHOWN} more broken pictures"] if len(broken) > SHOWN else []
    return [*map(_told, rows), *broken[:SHOWN], *more]


def _told(row: GateRow) -> str:
    return f"{row.verdict}: {row.arm} {row.metric}: {row.reason or row_text(row)}"
