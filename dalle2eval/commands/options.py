"""What several commands share: options under the same names, and how their values are shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from dalle2eval.console import say

Suite = Annotated[str, typer.Argument(metavar="SUITE", help="A built-in suite, or a YAML file.")]
Arms = Annotated[list[str] | None, typer.Option("--arm", help="Only this arm (repeatable).")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Set a field, as model.decoder_steps=2."),
]
Limit = Annotated[int | None, typer.Option(min=1, help="Only so many prompts an arm.")]
Scale = Annotated[
    str | None, typer.Option(metavar="NAME", help="How much is drawn: smoke, quick or full.")
]
Seed = Annotated[
    int | None, typer.Option(min=0, max=2**31 - 1, help="First seed, in place of the suite's.")
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
StoreFolder = Annotated[
    Path | None,
    typer.Option("--store", help="Artefacts shared by runs [DALLE2EVAL_STORE, else user cache]."),
]
Executor = Annotated[str, typer.Option(metavar="local|ray", help="Here, or on a Ray cluster.")]
Workers = Annotated[
    int | None, typer.Option(help="Ray: units made at a time [as many as there is room for].")
]
RayAddress = Annotated[
    str | None, typer.Option(metavar="ADDR", help="Ray: a cluster [started on this machine].")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress.")]


def suite_choices(
    arms: list[str] | None, overrides: list[str] | None, **others: Any
) -> dict[str, Any]:
    """Return what the user chose on top of a suite, as `dalle2eval.api.Request` names it."""
    return {"arms": tuple(arms or ()), "overrides": tuple(overrides or ()), **others}


def number(value: float | None) -> str:
    """Return a number for people, four digits of it."""
    return "unknown" if value is None else f"{value:.4g}"


def interval(row: Mapping[str, Any]) -> str:
    """Return the interval of an estimate or comparison, ``[low, high]``; nothing where unknown."""
    if row["low"] is None or row["high"] is None:
        return ""
    return f"[{number(row['low'])}, {number(row['high'])}]"


def say_unknown(rows: Iterable[Mapping[str, Any]], name: str) -> None:
    """Say once for each reason why numbers are unknown, and whose.

    Args:
        rows: estimates or comparisons; those without a reason are known.
        name: of the field that tells them apart in the table above, such as ``arm``.
    """
    whose: dict[str, list[str]] = {}
    for row in rows:
        if row["reason"]:
            whose.setdefault(row["reason"], []).append(row[name])
    for reason, names in whose.items():
        say(f"unknown, {', '.join(dict.fromkeys(names))}: {reason}")
