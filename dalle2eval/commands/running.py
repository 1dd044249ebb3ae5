"""Suites: `run` answers one, `plan` and `power` say beforehand what it takes and can find."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dalle2eval.commands.options import (
    Arms,
    AsJson,
    Device,
    Executor,
    Limit,
    Overrides,
    Quiet,
    RayAddress,
    Scale,
    Seed,
    StoreFolder,
    Suite,
    Workers,
    interval,
    number,
    say_unknown,
    suite_choices,
)
from dalle2eval.console import put_json, say, say_table


def run(
    *,
    suite: Suite,
    out: Annotated[Path | None, typer.Option(help="Run folder; continued when it exists.")] = None,
    arm: Arms = None,
    overrides: Overrides = None,
    limit: Limit = None,
    seed: Seed = None,
    scale: Scale = None,
    device: Device = "auto",
    store: StoreFolder = None,
    executor: Executor = "local",
    workers: Workers = None,
    ray_address: RayAddress = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Answer a suite: plan, generate, score, report.

    Called again with the same --out it goes on; what is in the store is not made again.
    """
    from dalle2eval import api

    choices = suite_choices(
        arm, overrides, limit=limit, seed=seed, scale=scale, device=device, store=store
    )
    engine = {"executor": executor, "workers": workers, "ray_address": ray_address}
    folder = api.run(suite, out=out, progress=None if quiet else sys.stderr, **choices, **engine)
    summary = api.read_summary(folder)
    if as_json:
        put_json({"folder": str(folder), "report": str(folder / "report.html"), **summary})
        return
    primary = summary["primary_metric"]
    shown = [e for e in summary["estimates"] if (e["metric"], e["slice"]) == (primary, "all")]
    if "training" in summary:  # one line an arm; those of single trainings are in the report
        shown = [e for e in shown if e["arm"] in summary["training"]["arms"]]
    rows = [(e["arm"], number(e["value"]), interval(e), e["n"]) for e in shown]
    say_table(rows, ("arm", primary, "95% interval", "n"))
    say_unknown(shown, "arm")
    say(f"report: {folder / 'report.html'}")


def plan(
    *,
    suite: Suite,
    arm: Arms = None,
    overrides: Overrides = None,
    limit: Limit = None,
    seed: Seed = None,
    scale: Scale = None,
    device: Device = "auto",
    store: StoreFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Say what a run would take; do nothing.

    Work units, those in the store, images, network passes and the time on two CPU cores.
    """
    from dalle2eval import api

    choices = suite_choices(
        arm, overrides, limit=limit, seed=seed, scale=scale, device=device, store=store
    )
    forecast = api.plan(suite, **choices)
    if as_json:
        put_json(forecast)
        return
    if not quiet:
        columns = ("units", "cached", "images", "forward_passes")
        rows = [(stage, *(row[c] for c in columns)) for stage, row in forecast["stages"].items()]
        say(f"{forecast['suite']}: {forecast['question']}")
        say(f"arms: {', '.join(forecast['arms'])}")
        say_table(rows, ("to make", "units", "cached", "images", "network passes"))
    say(
        f"{forecast['units']} units, {forecast['cached']} of them in {forecast['store']}; "
        f"{forecast['pictures']} pictures, ETA {forecast['eta_s']:.0f} s on two CPU cores"
    )
    if forecast["price"] is not None:
        say(f"the pictures of the image API cost {forecast['price']:.2f}, by the price it states")


def power(
    *,
    suite: Suite,
    effect: Annotated[
        float | None, typer.Option(help="Wished difference, in the metric's unit.")
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option(help="Only this metric (repeatable) [the suite's].")
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="A finished run: how much its prompts differ.")
    ] = None,
    chance: Annotated[
        float, typer.Option("--power", help="Of finding a difference that is there.")
    ] = 0.8,
    overrides: Overrides = None,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """Say what a suite can find.

    The smallest difference that its prompts show, and how many prompts a wished one needs.
    """
    from dalle2eval import api

    choices = {"overrides": tuple(overrides or ()), "limit": limit}
    answer = api.power(suite, effect=effect, metrics=metric, run=run, power=chance, **choices)
    if as_json:
        put_json(answer)
        return
    rows = [
        (
            row["metric"],
            row["prompts"],
            number(row["spread"]),
            number(row["detectable"]),
            "" if row["needed"] is None else row["needed"],
            row["reason"] or row["measured_on"],
        )
        for row in answer["metrics"]
    ]
    wished = "" if effect is None else f"prompts for {effect:g}"
    say_table(rows, ("metric", "prompts", "spread", "detectable", wished, "measured on"))
