"""`weights`: list, add, import and verify them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dalle2eval.commands.options import AsJson
from dalle2eval.console import BAD_INPUT, PASSED, put_json, say, say_table

weights_app = typer.Typer(
    help="List, add and verify weights.", no_args_is_help=True, rich_markup_mode=None
)


@weights_app.command("list")
def weights_list(*, as_json: AsJson = False) -> None:
    """List weights, parts and hashes."""
    from ablations.catalogue import list_weights

    found = list_weights()
    if as_json:
        put_json(found)
        return
    rows = [
        (name, part, facts["kind"], facts["sha256"][:16])
        for name, weights in found.items()
        for part, facts in weights["parts"].items()
    ]
    say_table(rows, ("weights", "part", "kind", "sha256"))
    for name, weights in found.items():
        if "damaged" in weights:
            say(f"{name}: damaged: {weights['damaged']}")


@weights_app.command("add")
def weights_add(
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="inception, dinov2, clip:MODEL/TAG.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The published file.")],
    as_json: AsJson = False,
) -> None:
    """Keep an extractor's weights.

    The file's SHA-256 is checked against the published one where there is one.
    """
    from dalle2eval.features.weight_files import add, file_hash

    if name.startswith("clip:"):
        from dalle2eval.features.open_clip_extractor import add_clip

        place = add_clip(name, file)
    else:
        place = add(name, file)
    facts = {"name": name, "place": str(place), "sha256": file_hash(place)}
    if as_json:
        put_json(facts)
    else:
        say(f"{place}: sha256 {facts['sha256']}")


@weights_app.command("import")
def weights_import(
    *,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Karlo's weights.")],
    name: Annotated[str, typer.Option("--as", metavar="NAME", help="Name of the new weights.")],
    as_json: AsJson = False,
) -> None:
    """Convert Karlo's weights.

    In diffusers' layout (safetensors) or as the original .ckpt and .th files; no code is unpickled.
    """
    from ablations.catalogue import import_weights, list_weights

    place = import_weights(folder, name)
    if as_json:
        put_json({"name": name, "place": str(place), **list_weights()[name]})
    else:
        say(f"{place}: draw with it by sample --model {name}")


@weights_app.command("verify")
def weights_verify(
    *,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME...]")] = None,
    as_json: AsJson = False,
) -> int:
    """Check weights against their hashes.

    All, or those named.
    """
    from ablations.catalogue import examine_weights, expected_weights

    whole, problems = examine_weights(names or expected_weights())
    for problem in problems.values():
        say(f"error: {problem}")
    if as_json and not problems:
        put_json(whole)
    elif not as_json:
        for name, parts in whole.items():
            say(f"{name}: whole ({', '.join(parts)})")
    return BAD_INPUT if problems else PASSED
