"""`gate`: the verdict of continuous integration, by an exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dalle2eval.commands.options import AsJson
from dalle2eval.console import put_json, say, say_table


class GateGroup(typer.core.TyperGroup):
    """`gate RUN ...` is `gate check RUN ...`: the verdict is what the command is for."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default command's name where none is given."""
        if args and args[0] not in (*self.commands, "-h", "--help"):
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


@gate_app.command("check")
def gate_check(
    *,
    run: GatedRun,
    baseline: Baseline,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 11 where it cannot tell.")] = False,
    markdown: Annotated[
        Path | None, typer.Option(help="Write a pull-request comment (also $GITHUB_STEP_SUMMARY).")
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML.")] = None,
    as_json: AsJson = False,
) -> int:
    """Hold a run against its baseline.

    Exit 0 pass, 10 regression, 11 inconclusive (--strict), 12 not comparable or coverage lost.
    """
    from dalle2eval.gate.front import check, write_outputs
    from dalle2eval.gate.outputs import ANSWERS, HEAD, LEGEND, remarks, table_rows, to_json

    decision = check(run, baseline)
    write_outputs(decision, strict=strict, markdown=markdown, junit=junit)
    code = decision.exit_code(strict=strict)
    if as_json:
        put_json(to_json(decision, strict=strict))
        return code
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
    as_json: AsJson = False,
) -> None:
    """Write a run as the baseline.

    A small JSON file to review and commit.
    """
    from dalle2eval.gate.front import accept

    path = accept(run, baseline, reason=reason)
    if as_json:
        put_json({"baseline": str(path)})
    else:
        say(f"baseline: {path} ({path.stat().st_size / 1000:.0f} kB)")
