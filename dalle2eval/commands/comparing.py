"""`compare`: two runs, or single arms of runs, in pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dalle2eval.commands.options import AsJson, interval, number, say_unknown
from dalle2eval.console import put_json, say, say_table

A = Annotated[str, typer.Argument(metavar="A", help="Folder of a finished run, or RUN:ARM.")]
B = Annotated[str, typer.Argument(metavar="B", help="What is held against A, likewise.")]


def compare(
    *,
    a: A,
    b: B,
    out: Annotated[Path | None, typer.Option(help="Folder of the comparison.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two runs in pairs: B minus A.

    Over the prompts and seeds that both have. Writes a report with the flips; needs no torch.
    """
    from dalle2eval.api import read_summary
    from dalle2eval.comparing import compare as compare_runs

    folder = compare_runs(a, b, out=out)
    summary = read_summary(folder)
    if as_json:
        put_json({"folder": str(folder), "report": str(folder / "report.html"), **summary})
        return
    shown = [c for c in summary["comparisons"] if c["slice"] == "all"]
    rows = [
        (
            c["arm"],
            c["reference"],
            c["metric"],
            number(c["difference"]),
            interval(c),
            c["n_pairs"],
            c["verdict"],
        )
        for c in shown
    ]
    say_table(rows, ("arm", "against", "metric", "difference", "95% interval", "pairs", "verdict"))
    say_unknown(shown, "metric")
    for found in summary["flips"]:
        lost, won = len(found["lost"]), len(found["won"])
        say(f"{found['arm']} {found['metric']}: {lost} lost, {won} won of {found['n']}")
    for note in summary["notes"]:
        say(f"note: {note}")
    say(f"report: {folder / 'report.html'}")
