"""`probe` puts one question with its own procedure to a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dalle2eval.commands.options import (
    AsJson,
    Device,
    Quiet,
    StoreFolder,
    interval,
    number,
    say_unknown,
)
from dalle2eval.console import put_json, say, say_table


def probe(
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of a probe; see `list probes`.")],
    model: Annotated[str, typer.Option(help="NAME, images:DIR, diffusers:PATH ...")] = "scenes",
    out: Annotated[
        Path | None, typer.Option(help="Folder of the answer [probes/NAME-MODEL].")
    ] = None,
    prompts: Annotated[
        str | None, typer.Option(metavar="SET|FILE", help="What to ask about [the probe's own].")
    ] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="Of the file [by its name and content].")
    ] = None,
    n: Annotated[int | None, typer.Option("--n", help="Prompts, or pictures of its own.")] = None,
    samples: Annotated[int | None, typer.Option(help="Pictures of each.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of the first picture.")] = 0,
    size: Annotated[int | None, typer.Option(help="Side in pixels: 64, 256 or 1024.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of the model."),
    ] = None,
    detector: Annotated[
        Path | None, typer.Option(help="Folder of an OWLv2, for prompts that need one.")
    ] = None,
    device: Device = "auto",
    store: StoreFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Put a probe to a model.

    Prompts, procedure, grader and self-test; `list probes` shows them. Called again it goes on.
    """
    import json

    from dalle2eval import api
    from dalle2eval.probing import PAGE, RESULT
    from dalle2eval.probing import probe as put_probe

    folder = put_probe(
        name,
        out=out,
        tell=(lambda _: None) if quiet else say,
        model=model,
        prompts=prompts,
        format=form,
        n=n,
        samples=samples,
        seed=seed,
        size=size,
        settings=api.parse_settings(settings or []),
        detector=detector,
        device=device,
        store=store,
    )
    found = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    if as_json:
        del found["rows"]
        put_json({"folder": str(folder), **found})
        return
    rows = [
        (e["metric"], e["slice"], number(e["value"]), interval(e), e["n"])
        for e in found["estimates"]
    ]
    say_table(rows, ("metric", "slice", "value", "95% interval", "n"))
    say_unknown(found["estimates"], "metric")
    say(found["answer"])
    for note in found["notes"]:
        say(f"note: {note}")
    say(f"answer: {folder / PAGE}")
