"""The command line: it chooses and prints; the work is in `dalle2eval.api`, imported in commands.

Text for people and progress go to standard error; ``--json`` prints one document, and nothing else,
on standard output.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from dalle2eval.console import FAILED, PASSED, guard, put_json, say, say_facts, say_table

app = typer.Typer(
    help="Evaluate and ablate text-to-image models; a complete reference DALL·E 2 is inside.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
weights_app = typer.Typer(
    help="List, add and verify weights.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(weights_app, name="weights")


class GateGroup(typer.core.TyperGroup):
    """`gate RUN ...` is `gate check RUN ...`: the verdict is what the command is for."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default command's name where none is given."""
        if args and args[0] not in (*self.commands, "-h", "--help"):
            args = ["check", *args]
        return super().parse_args(ctx, args)


gate_app = typer.Typer(
    cls=GateGroup,
    help="Say whether a run is worse than its baseline: `gate RUN --baseline FILE`.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(gate_app, name="gate")

Suite = Annotated[str, typer.Argument(metavar="SUITE", help="A built-in suite, or a YAML file.")]
Arms = Annotated[list[str] | None, typer.Option("--arm", help="Only this arm (repeatable).")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Set a field, as model.decoder_steps=2."),
]
Limit = Annotated[int | None, typer.Option(min=1, help="Only so many prompts an arm.")]
Seed = Annotated[
    int | None, typer.Option(min=0, max=2**31 - 1, help="First seed, in place of the suite's.")
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
StoreFolder = Annotated[
    Path | None,
    typer.Option("--store", help="Artefacts shared by runs [DALLE2EVAL_STORE, else user cache]."),
]
GatedRun = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")]
Baseline = Annotated[Path, typer.Option(help="The baseline file.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress.")]


def main() -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(guard(lambda: app(standalone_mode=False, prog_name="dalle2eval")))


@app.command()
def run(
    *,
    suite: Suite,
    out: Annotated[Path | None, typer.Option(help="Run folder; continued when it exists.")] = None,
    arm: Arms = None,
    overrides: Overrides = None,
    limit: Limit = None,
    seed: Seed = None,
    device: Device = "auto",
    store: StoreFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Answer a suite: plan, generate, score, report.

    Called again with the same --out it goes on; what is in the store is not made again.
    """
    from dalle2eval import api

    choices = _choices(arm, overrides, limit=limit, seed=seed, device=device, store=store)
    folder = api.run(suite, out=out, progress=None if quiet else sys.stderr, **choices)
    summary = api.read_summary(folder)
    if as_json:
        put_json({"folder": str(folder), "report": str(folder / "report.html"), **summary})
        return
    primary = summary["primary_metric"]
    rows = [
        (e["arm"], _number(e["value"]), f"[{_number(e['low'])}, {_number(e['high'])}]", e["n"])
        for e in summary["estimates"]
        if e["metric"] == primary and e["slice"] == "all"
    ]
    say_table(rows, ("arm", primary, "95% interval", "n"))
    say(f"report: {folder / 'report.html'}")


@app.command()
def plan(
    *,
    suite: Suite,
    arm: Arms = None,
    overrides: Overrides = None,
    limit: Limit = None,
    seed: Seed = None,
    device: Device = "auto",
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Say what a run would take; do nothing.

    Work units, those in the store, images, network passes and the time on two CPU cores.
    """
    from dalle2eval import api

    choices = _choices(arm, overrides, limit=limit, seed=seed, device=device, store=store)
    forecast = api.plan(suite, **choices)
    if as_json:
        put_json(forecast)
        return
    columns = ("units", "cached", "images", "forward_passes")
    rows = [(stage, *(row[c] for c in columns)) for stage, row in forecast["stages"].items()]
    say(f"{forecast['suite']}: {forecast['question']}")
    say(f"arms: {', '.join(forecast['arms'])}")
    say_table(rows, ("to make", "units", "cached", "images", "network passes"))
    say(
        f"{forecast['units']} units, {forecast['cached']} of them in {forecast['store']}; "
        f"{forecast['pictures']} pictures, ETA {forecast['eta_s']:.0f} s on two CPU cores"
    )


@app.command()
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
            _number(row["spread"]),
            _number(row["detectable"]),
            "" if row["needed"] is None else row["needed"],
            row["reason"] or row["measured_on"],
        )
        for row in answer["metrics"]
    ]
    wished = "" if effect is None else f"prompts for {effect:g}"
    say_table(rows, ("metric", "prompts", "spread", "detectable", wished, "measured on"))


@app.command()
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


@app.command()
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
    rows = [
        (e["metric"], _number(e["value"]), f"[{_number(e['low'])}, {_number(e['high'])}]", e["n"])
        for e in summary["estimates"]
    ]
    say_table(rows, ("metric", "value", "95% interval", "n"))
    for reason in dict.fromkeys(e["reason"] for e in summary["estimates"] if e["reason"]):
        say(f"unknown: {reason}")
    say(f"report: {folder / 'report.html'}")


@app.command()
def report(
    *,
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs.")],
    formats: Annotated[
        list[str] | None, typer.Option("--format", help="html, md, tex, csv, parquet or json.")
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


@gate_app.command("check")
def gate_check(
    *,
    run: GatedRun,
    baseline: Baseline,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 11 where it cannot tell.")] = False,
    markdown: Annotated[
        Path | None, typer.Option(help="Write a pull-request comment (also $GITHUB_STEP_SUMMARY).")
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML.")] = None,
    as_json: AsJson = False,
) -> int:
    """Hold a run against its baseline.

    Exit 0 pass, 10 regression, 11 inconclusive (--strict), 12 not comparable or coverage lost.
    """
    from dalle2eval.gate.front import check, write_outputs
    from dalle2eval.gate.outputs import ANSWERS, HEAD, LEGEND, remarks, table_rows, to_json

    decision = check(run, baseline)
    write_outputs(decision, strict=strict, markdown=markdown, junit=junit)
    code = decision.exit_code(strict=strict)
    if as_json:
        put_json(to_json(decision, strict=strict))
        return code
    say_table(table_rows(decision), HEAD)
    say(LEGEND)
    for line in remarks(decision):
        say(line)
    say(f"gate: {ANSWERS[code]}")
    return code


@gate_app.command("accept")
def gate_accept(
    *,
    run: GatedRun,
    baseline: Baseline,
    reason: Annotated[str, typer.Option(help="Why this run is the new baseline.")],
    as_json: AsJson = False,
) -> None:
    """Write a run as the baseline.

    A small JSON file to review and commit.
    """
    from dalle2eval.gate.front import accept

    path = accept(run, baseline, reason=reason)
    if as_json:
        put_json({"baseline": str(path)})
    else:
        say(f"baseline: {path} ({path.stat().st_size / 1000:.0f} kB)")


@app.command()
def train(
    *,
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Such as scenes.")],
    out: Annotated[Path, typer.Option(help="Folder of the finished weights.")],
    stage: Annotated[str | None, typer.Option(help="One part; all when not given.")] = None,
    data: Annotated[str, typer.Option(help="What to learn from.")] = "scenes",
    work: Annotated[Path | None, typer.Option(help="Checkpoints and logs [OUT/work].")] = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Train the parts of a recipe.

    A killed training goes on when called again.
    """
    from dalle2eval import api

    folder = api.train(recipe, out=out, stage=stage, data=data, work=work, device=device)
    if as_json:
        put_json({"weights": str(folder)})
    else:
        say(f"weights: {folder}")


@app.command("list")
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


@app.command()
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
) -> None:
    """Check weights against their hashes.

    All, or those named.
    """
    from ablations.catalogue import list_weights, verify_weights

    whole = {name: verify_weights(name) for name in names or list_weights()}
    if as_json:
        put_json(whole)
        return
    for name, parts in whole.items():
        say(f"{name}: whole ({', '.join(parts)})")


@app.command()
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


def _choices(arms: list[str] | None, overrides: list[str] | None, **others: Any) -> dict[str, Any]:
    return {"arms": tuple(arms or ()), "overrides": tuple(overrides or ()), **others}


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"
