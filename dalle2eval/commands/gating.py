"""`gate`: the verdict of continuous integration, by an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dalle2eval.commands.options import AsJson, Device, Overrides, Quiet, StoreFolder, number
from dalle2eval.console import put_json, say, say_table

if TYPE_CHECKING:
    from dalle2eval.gate.decision import Decision


class GateGroup(typer.core.TyperGroup):
    """`gate RUN ...` is `gate check RUN ...`: the verdict is what the command is for.

    Likewise `gate --against REV` is `gate against REV`.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default command's name where none is given."""
        place = args.index("--against") if "--against" in args else -1
        if place >= 0 and args[0] not in self.commands:
            args = ["against", *args[:place], *args[place + 1 :]]
        elif args and args[0] not in (*self.commands, "-h", "--help"):
            args = ["check", *args]
        return super().parse_args(ctx, args)


gate_app = typer.Typer(
    cls=GateGroup,
    help="Say whether a run is worse than its baseline: `gate RUN --baseline FILE`.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

GatedRun = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")]
Baseline = Annotated[Path, typer.Option(help="The baseline file.")]
Strict = Annotated[bool, typer.Option("--strict", help="Exit 11 where it cannot tell.")]
Markdown = Annotated[
    Path | None, typer.Option(help="Write a pull-request comment (also $GITHUB_STEP_SUMMARY).")
]
Junit = Annotated[Path | None, typer.Option(help="Write JUnit XML.")]
Pictures = Annotated[
    str | None,
    typer.Option("--pictures-at", metavar="URL", help="Where the comment finds the run folder."),
]
Floors = Annotated[
    Path | None, typer.Option(help="Floors of `gate calibrate`, in place of the baseline's.")
]
GatedSuite = Annotated[str, typer.Option(help="A built-in suite, or a YAML file.")]


@gate_app.command("check")
def gate_check(
    *,
    run: GatedRun,
    baseline: Baseline,
    strict: Strict = False,
    markdown: Markdown = None,
    junit: Junit = None,
    pictures: Pictures = None,
    floors: Floors = None,
    as_json: AsJson = False,
) -> int:
    """Hold a run against its baseline.

    Exit 0 pass, 10 regression, 11 inconclusive (--strict), 12 not comparable or coverage lost.
    """
    from dalle2eval.gate.calibrating import read_floors
    from dalle2eval.gate.front import check, write_outputs

    given = read_floors(floors) if floors else None
    decision = _or_refusal(lambda: check(run, baseline, floors=given))
    write_outputs(decision, strict=strict, markdown=markdown, junit=junit, pictures=pictures)
    return _answer(decision, strict=strict, as_json=as_json)


@gate_app.command("against")
def gate_against(
    *,
    revision: Annotated[str, typer.Argument(metavar="REV", help="A commit, as origin/main.")],
    suite: GatedSuite = "gate",
    out: Annotated[Path, typer.Option(help="Folder of both runs.")] = Path("runs/against"),
    overrides: Overrides = None,
    strict: Strict = False,
    markdown: Markdown = None,
    junit: Junit = None,
    pictures: Pictures = None,
    floors: Floors = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> int:
    """Run a suite on a commit and on the working tree; hold the second against the first.

    With this interpreter and its packages; also written `gate --against REV`.
    """
    from dalle2eval.gate.against import Head, against
    from dalle2eval.gate.calibrating import read_floors
    from dalle2eval.gate.front import write_outputs

    settings = [part for text in overrides or () for part in ("--set", text)]
    head = Head(suite=suite, options=(*settings, "--device", device, "--quiet"))
    given = read_floors(floors) if floors else None
    decision = _or_refusal(lambda: against(revision, head, out=out, floors=given))
    write_outputs(decision, strict=strict, markdown=markdown, junit=junit, pictures=pictures)
    return _answer(decision, strict=strict, as_json=as_json)


def _or_refusal(gate: Callable[[], Decision]) -> Decision:
    """Return what the gate decides, or that it refuses to compare: CI gets its files either way."""
    from dalle2eval.gate.decision import refusal
    from dalle2eval.records import NotComparable

    try:
        return gate()
    except NotComparable as error:
        return refusal(str(error))


def _answer(decision: Decision, *, strict: bool, as_json: bool) -> int:
    from dalle2eval.gate.outputs import ANSWERS, HEAD, LEGEND, remarks, table_rows, to_json

    code = decision.exit_code(strict=strict)
    if as_json:
        put_json(to_json(decision, strict=strict))
        return code
    if decision.rows:
        say_table(table_rows(decision), HEAD)
        say(LEGEND)
    for line in remarks(decision):
        say(line)
    say(f"gate: {ANSWERS[code]}")
    return code


@gate_app.command("accept")
def gate_accept(
    *,
    run: GatedRun,
    baseline: Baseline,
    reason: Annotated[str, typer.Option(help="Why this run is the new baseline.")],
    floors: Floors = None,
    as_json: AsJson = False,
) -> None:
    """Write a run as the baseline.

    A small JSON file to review and commit.
    """
    from dalle2eval.gate.calibrating import read_floors
    from dalle2eval.gate.front import accept

    given = read_floors(floors) if floors else None
    path = accept(run, baseline, reason=reason, floors=given)
    if as_json:
        put_json({"baseline": str(path)})
    else:
        say(f"baseline: {path} ({path.stat().st_size / 1000:.0f} kB)")


@gate_app.command("calibrate")
def gate_calibrate(
    *,
    repeats: Annotated[int, typer.Option(min=2, max=1000, help="Runs with other seeds.")],
    out: Annotated[Path, typer.Option(help="The floors file.")],
    suite: GatedSuite = "gate",
    work: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs/calibration"),
    overrides: Overrides = None,
    seed: Annotated[int, typer.Option(min=0, help="First seed of the first run.")] = 0,
    device: Device = "auto",
    store: StoreFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Measure false alarms on this machine and write floors.

    Runs the suite with other seeds and holds each run against each; goes on when called again.
    """
    from dalle2eval import api
    from dalle2eval.gate.calibrating import calibrate, calibration_json

    progress = None if quiet else sys.stderr
    choices = {"overrides": tuple(overrides or ()), "device": device, "store": store}

    def run_suite(first: int, folder: Path) -> Path:
        return api.run(suite, out=folder, progress=progress, seed=first, **choices)

    found = calibrate(run_suite, repeats=repeats, work=work, out=out, first_seed=seed)
    if as_json:
        put_json({"floors_file": str(out), **calibration_json(found)})
        return
    rows = [(name, number(f.absolute), number(f.relative)) for name, f in found.floors.items()]
    say_table(rows, ("metric", "absolute floor", "relative floor"))
    for rate, told in ((found.before, "with the policy's floors"), (found.after, "with these")):
        say(
            f"false alarms {told}: {rate.alarms} of {rate.gates} gates "
            f"[{100 * rate.low:.1f}%, {100 * rate.high:.1f}%]"
        )
    say(f"floors: {out}")
