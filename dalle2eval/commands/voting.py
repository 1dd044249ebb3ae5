"""`dalle2eval vote`: ask people, and count what they say (docs/votes.md)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dalle2eval.commands.options import AsJson
from dalle2eval.console import put_json, say, say_table

if TYPE_CHECKING:
    from dalle2eval.votes.study import Study

vote_app = typer.Typer(
    help="Ask people which pictures they prefer: serve or export, then tally.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Runs = Annotated[
    list[str],
    typer.Argument(metavar="RUN[:ARM]...", help="Arms to compare; or the folder of a study."),
]
QuestionName = Annotated[
    str | None, typer.Option("--question", help="photorealism, caption or diversity.")
]
NumPairs = Annotated[int, typer.Option("--pairs", min=1, max=100_000, help="Pairs in all.")]
PerVoter = Annotated[
    int | None, typer.Option(min=1, help="Pairs that one voter sees [all of them].")
]
NumChecks = Annotated[
    int | None, typer.Option("--checks", min=0, max=1000, help="Attention checks [1 in 10 pairs].")
]
Side = Annotated[int | None, typer.Option("--size", help="Side in pixels [what most have].")]
StudySeed = Annotated[int, typer.Option("--seed", min=0, help="Of the choice of pairs.")]
Out = Annotated[Path | None, typer.Option(help="Folder of the study [votes/QUESTION-ID].")]
StudyFolder = Annotated[Path, typer.Argument(metavar="STUDY", help="Folder of a study.")]


@vote_app.command("serve")
def vote_serve(
    *,
    runs: Runs,
    question: QuestionName = None,
    pairs: NumPairs = 100,
    per_voter: PerVoter = None,
    checks: NumChecks = None,
    size: Side = None,
    seed: StudySeed = 0,
    out: Out = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8765,
    as_json: AsJson = False,
) -> None:
    """Show pairs to voters in a browser.

    Blind, sides at random. Goes on where it was when called again. Elsewhere than on 127.0.0.1 the
    link carries a token. Ctrl-C stops it.
    """
    from dalle2eval.votes.server import VoteServer, serve

    study = _open(runs, question, pairs, per_voter, checks=checks, size=size, seed=seed, out=out)

    def ready(server: VoteServer) -> None:
        if as_json:
            put_json({"study": str(study.folder), "link": server.link})
            typer.get_text_stream("stdout").flush()
        else:
            _say_study(study)
            say(f"voters open {server.link}   (Ctrl-C stops; the same command goes on)")

    serve(study, host=host, port=port, ready=ready)


@vote_app.command("export")
def vote_export(
    *,
    runs: Runs,
    question: QuestionName = None,
    pairs: NumPairs = 100,
    per_voter: PerVoter = None,
    checks: NumChecks = None,
    size: Side = None,
    seed: StudySeed = 0,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Write the page as one file.

    It works without a server; voters send back the JSON that it saves.
    """
    from dalle2eval.votes.page import write_static_page

    study = _open(runs, question, pairs, per_voter, checks=checks, size=size, seed=seed, out=out)
    place = write_static_page(study)
    if as_json:
        put_json({"study": str(study.folder), "page": str(place)})
        return
    _say_study(study)
    say(f"{place}: {place.stat().st_size / 1e6:.1f} MB; send it to the voters")


@vote_app.command("import")
def vote_import(
    *,
    study: StudyFolder,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="What voters sent.")],
    name: Annotated[
        str | None, typer.Option("--as", help="Another name for the voter of a single file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take saved answers back.

    A vote counts once, however often its file is given.
    """
    from dataclasses import asdict

    from dalle2eval.records import InputError
    from dalle2eval.votes.answers import import_answers
    from dalle2eval.votes.study import read_study

    if name is not None and len(files) > 1:
        raise InputError("--as names the voter of one file; give the files one by one")
    opened = read_study(study)
    done = import_answers(opened, *files, name=name)
    if as_json:
        put_json([asdict(each) for each in done])
        return
    for each in done:
        say(f"{each.voter}: {each.new} votes, {each.known} were here already")


@vote_app.command("tally")
def vote_tally(
    *,
    study: StudyFolder,
    report: Annotated[
        list[Path] | None,
        typer.Option(metavar="RUN", help="Put the numbers into this run's report (repeatable)."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Count the votes.

    Win rates, strengths, agreement, and who failed the attention checks.
    """
    from dalle2eval.votes.study import read_study
    from dalle2eval.votes.tally import put_into_run, tally

    result = tally(read_study(study))
    for run in report or []:
        from reports.rendering import render

        put_into_run(result, run)
        page = render(run)["html"]
        if not as_json:
            say(f"report: {page}")
    if as_json:
        put_json(result)
    else:
        _say_tally(result)


def _open(
    runs: list[str], question: str | None, pairs: int, per_voter: int | None, **others: Any
) -> Study:
    from dalle2eval.votes.study import Design, open_study

    out = others.pop("out")
    if question is None:
        return open_study(runs, None, out)
    design = Design(question=question, pairs=pairs, per_voter=per_voter, **others)
    return open_study(runs, design, out)


def _say_study(study: Study) -> None:
    checks = sum(pair.answer is not None for pair in study.pairs)
    say(f"{study.folder}: {study.question.asks}")
    say(f"arms: {', '.join(study.arms)}; pictures of {study.size} pixels")
    say(f"{len(study.pairs) - checks} pairs and {checks} attention checks")


def _say_tally(result: dict[str, Any]) -> None:
    counts = result["counts"]
    say(f"{result['asks']} {counts['votes']} votes of {counts['voters']} voters")
    rows = [
        (
            row["arm"],
            row["versus"],
            _percent(row["estimate"]),
            f"{row['wins']}/{row['losses']}/{row['ties']}",
            row["verdict"],
        )
        for row in result["win_rates"]
    ]
    say_table(rows, ("arm", "against", "preferred, ties half", "won/lost/tied", "verdict"))
    for row in result["strengths"]:
        say(f"strength of {row['arm']}: {_number(row['estimate'], 0)}")
    say(f"agreement (Krippendorff's alpha): {_number(result['agreement'], 2)}")
    for note in result["notes"]:
        say(note)


def _percent(estimate: dict[str, Any]) -> str:
    if estimate["value"] is None:
        return f"unknown: {estimate['reason']}"
    return f"{estimate['value']:.1%} [{estimate['low']:.1%}, {estimate['high']:.1%}]"


def _number(estimate: dict[str, Any], digits: int) -> str:
    if estimate["value"] is None:
        return f"unknown: {estimate['reason']}"
    value, low, high = (f"{estimate[name]:.{digits}f}" for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]{' ' + estimate['unit'] if estimate['unit'] else ''}"
