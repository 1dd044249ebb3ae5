"""`sample` draws pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dalle2eval.commands.options import AsJson, Device, Quiet
from dalle2eval.console import put_json, say


def sample(
    *,
    prompts: Annotated[
        list[str] | None, typer.Argument(metavar="[PROMPT...]", help="What to draw.")
    ] = None,
    variation_of: Annotated[
        Path | None, typer.Option(metavar="IMAGE", help="Draw this picture anew, --n times.")
    ] = None,
    interpolate: Annotated[
        tuple[Path, Path] | None, typer.Option(help="Draw --n pictures from one to the other.")
    ] = None,
    text_diff: Annotated[
        tuple[Path, str, str] | None,
        typer.Option(metavar="IMAGE BEFORE AFTER", help="Move a picture by what words say."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the pictures.")] = Path("samples"),
    model: Annotated[str, typer.Option(help="Name of the weights.")] = "scenes",
    seed: Annotated[int, typer.Option(min=0, help="Of the first picture.")] = 0,
    n: Annotated[int, typer.Option("--n", min=1, max=1000, help="Pictures a prompt.")] = 1,
    size: Annotated[
        int | None, typer.Option(help="Side in pixels: 64, 256 or 1024 [64, with --stages 1024].")
    ] = None,
    stages: Annotated[bool, typer.Option("--stages", help="Every stage's picture.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of the model."),
    ] = None,
    device: Device = "auto",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Draw pictures of prompts, or from given pictures.

    With --stages also what each stage drew on the way.
    """
    from dalle2eval import api
    from dalle2eval.manipulating import choose, manipulate

    common = {
        "out": out,
        "model": model,
        "device": device,
        "settings": api.parse_settings(settings or []),
    }
    asked = choose(prompts, variation_of, interpolate, text_diff)
    if asked is not None:
        files = manipulate(asked, seeds=range(seed, seed + n), **common)
    else:
        files = api.sample(prompts or [], seed=seed, n=n, size=size, stages=stages, **common)
    if as_json:
        put_json({"files": [str(path) for path in files]})
    elif not quiet:
        for path in files:
            say(str(path))
