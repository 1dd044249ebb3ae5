"""The gate's calls: `check` a run, `accept` it as the new baseline."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ablations.environment import command_output
from dalle2eval.gate.baseline import Baseline, conditions_of, read_baseline, write_baseline
from dalle2eval.gate.decision import Decision, decide
from dalle2eval.gate.measured import measured_arms
from dalle2eval.gate.outputs import to_junit, to_markdown
from dalle2eval.gate.policy import Floor
from dalle2eval.gate.tripwires import tripped
from dalle2eval.records import InputError
from dalle2eval.store import write_atomic
from reports.reading import read_run
from reports.run_record import RunRecord

_COMMIT = re.compile(r"[0-9a-f]{7,64}")


def check(
    run: str | Path, baseline: str | Path, *, floors: Mapping[str, Floor] | None = None
) -> Decision:
    """Hold a finished run against a baseline file; floors given here replace the baseline's.

    Raises:
        InputError: one of them is missing, damaged or from a newer release.
        NotComparable: they are not the same experiment.
    """
    accepted = read_baseline(Path(baseline))
    if floors is not None:
        accepted = replace(accepted, floors={**accepted.floors, **floors})
    return decide(read_run(run), accepted)


def accept(
    run: str | Path,
    baseline: str | Path,
    *,
    reason: str,
    floors: Mapping[str, Floor] | None = None,
) -> Path:
    """Write a finished run as the baseline; floors of an older one at that place are kept.

    Raises:
        InputError: no reason is given, the run is not finished, or its pictures are broken.
    """
    if not reason.strip():
        raise InputError(
            '--reason is empty; say why this run is the new baseline, as "new decoder"'
        )
    record, path = read_run(run), Path(baseline)
    wires = tripped(record)
    if wires:
        raise InputError(f"{record.folder}: {len(wires)} broken pictures, first {wires[0].text}")
    if floors is None:
        floors = read_baseline(path).floors if path.exists() else {}
    write_baseline(
        path,
        Baseline(
            accepted={"reason": " ".join(reason.split()), **_provenance(record)},
            conditions=conditions_of(record),
            floors=floors,
            arms=measured_arms(record),
        ),
    )
    return path


def write_outputs(
    decision: Decision,
    *,
    strict: bool,
    markdown: Path | None = None,
    junit: Path | None = None,
    pictures: str | None = None,
) -> None:
    """Write the files that CI reads; on GitHub also the step's summary.

    Args:
        decision: of the gate.
        strict: whether cannot tell is a failure.
        markdown: file of the comment.
        junit: file of the test cases.
        pictures: address under which the run folder can be reached.
    """
    comment = to_markdown(decision, strict=strict, pictures=pictures)
    if markdown is not None:
        write_atomic(markdown, comment.encode("utf-8", "replace"))
    if junit is not None:
        write_atomic(junit, to_junit(decision, strict=strict).encode())
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        with Path(summary).open("a", encoding="utf-8", errors="replace") as file:
            file.write(comment)


def _provenance(record: RunRecord) -> dict[str, Any]:
    """Return who accepts and the commit that the run was made from; its date makes bytes stable."""
    made = record.environment.get("git")
    made = made if isinstance(made, dict) else {}
    commit = made.get("commit")
    # A folder is anyone's: what is no commit would be an option of git, "--output=FILE" for one.
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        commit = None
    show = ("git", "show", "-s", "--format=%cs", "--end-of-options")
    return {
        "by": command_output("git", "config", "user.name") or None,
        "commit": commit,
        "dirty": made.get("dirty") is True if commit else None,
        "date": command_output(*show, commit) if commit else None,
    }
