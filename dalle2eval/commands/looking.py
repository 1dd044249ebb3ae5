"""`list` and `describe` show what there is, `doctor` what this machine has."""

from __future__ import annotations

from typing import Annotated

import typer

from dalle2eval.commands.options import AsJson
from dalle2eval.console import FAILED, PASSED, put_json, say_facts, say_table


def list_(
    *,
    what: Annotated[str, typer.Argument(metavar="suites|metrics|probes|models|features|presets")],
    as_json: AsJson = False,
) -> None:
    """List what there is to choose from."""
    from dalle2eval.inventory import list_things

    things = list_things(what)
    if as_json:
        put_json(things)
    else:
        say_table(list(things.items()), (what, ""))


def describe(
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of anything that list shows.")],
    as_json: AsJson = False,
) -> None:
    """Say what is known of a thing.

    A suite, metric, probe, model, extractor or preset, by its name.
    """
    from dalle2eval.inventory import describe_thing

    facts = describe_thing(name)
    if as_json:
        put_json(facts)
    else:
        say_facts(facts)


def doctor(*, as_json: AsJson = False) -> int:
    """Look over this machine.

    Python, torch, devices, OCR, fonts, weights, the store and the free disk.
    """
    from dalle2eval.doctor import examine

    found = examine()
    if as_json:
        put_json(found)
    else:
        say_facts(found)
    return PASSED if all(check["ok"] for check in found.values()) else FAILED
