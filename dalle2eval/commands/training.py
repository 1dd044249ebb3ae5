"""`train` trains the parts of a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dalle2eval.commands.options import AsJson, Device, Quiet
from dalle2eval.console import put_json, say


def train(
    *,
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="scenes, or captions (any pictures).")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the finished weights.")],
    stage: Annotated[str | None, typer.Option(help="One part; all when not given.")] = None,
    data: Annotated[
        str,
        typer.Option(help="scenes, or captioned images: a folder, zip, tar or shard-{0..9}.tar."),
    ] = "scenes",
    work: Annotated[Path | None, typer.Option(help="Checkpoints and logs [OUT/work].")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of a repeat; 0 is the recipe itself.")] = 0,
    text_encoder: Annotated[
        Path | None, typer.Option(help="A local T5's folder, for the stage decoder-imagen-t5.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="tiny, scenes, base or paper, in place of the recipe's own.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Set a field, as loop.steps=1000."),
    ] = None,
    device: Device = "auto",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train the parts of a recipe's main line, or the one of --stage.

    A killed training goes on when called again.
    """
    from dalle2eval.training import train as train_recipe

    choices: dict[str, Any] = {"preset": preset, "changes": tuple(overrides or ())}
    choices |= {"stage": stage, "data": data, "work": work, "seed": seed, "device": device}
    folder = train_recipe(recipe, out=out, quiet=quiet, text_encoder=text_encoder, **choices)
    if as_json:
        put_json({"weights": str(folder)})
    else:
        say(f"weights: {folder}")
