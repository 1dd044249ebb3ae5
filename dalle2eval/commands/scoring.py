"""`score` judges anyone's images; `report` renders what was found again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dalle2eval.commands.options import (
    AsJson,
    Device,
    Limit,
    Quiet,
    StoreFolder,
    interval,
    number,
    say_unknown,
)
from dalle2eval.console import put_json, say, say_table


def score(
    *,
    images: Annotated[Path, typer.Argument(metavar="IMAGES", help="A folder, a zip or a tar.")],
    prompts: Annotated[
        Path | None, typer.Option(help=".jsonl or .csv (id, file, prompt), .txt.")
    ] = None,
    reference: Annotated[Path | None, typer.Option(help="Real images, likewise.")] = None,
    features: Annotated[
        str, typer.Option(help="Of inception, clip:..., dinov2, effnet, scenes; comma between.")
    ] = "inception",
    metrics: Annotated[
        str, typer.Option(help="Such as fd,kid,clip_score [what the input allows].")
    ] = "",
    out: Annotated[Path | None, typer.Option(help="Run folder; continued when it exists.")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Count bad files out.")] = False,
    limit: Limit = None,
    device: Device = "auto",
    store: StoreFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Score images of any model.

    Every file is looked at first; features are kept by pixels, so a second call is quick.
    """
    from dalle2eval.api import read_summary
    from dalle2eval.scoring import score as score_images

    folder = score_images(
        images,
        prompts=prompts,
        reference=reference,
        features=_names(features),
        metrics=_names(metrics),
        out=out,
        limit=limit,
        skip_bad=skip_bad,
        device=device,
        store=store,
        progress=None if quiet else sys.stderr,
    )
    summary = read_summary(folder)
    if as_json:
        put_json({"folder": str(folder), "report": str(folder / "report.html"), **summary})
        return
    rows = [(e["metric"], number(e["value"]), interval(e), e["n"]) for e in summary["estimates"]]
    say_table(rows, ("metric", "value", "95% interval", "n"))
    say_unknown(summary["estimates"], "metric")
    say(f"report: {folder / 'report.html'}")


def report(
    *,
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs.")],
    formats: Annotated[
        list[str] | None, typer.Option("--format", help="html, md, svg, tex, csv, parquet or json.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Render the reports of runs again.

    Reads finished run folders; needs no torch.
    """
    from dalle2eval import api

    files = api.report(runs, formats or api.REPORT_FORMATS)
    if as_json:
        put_json(files)
        return
    for path in (path for made in files.values() for path in made):
        say(path)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
