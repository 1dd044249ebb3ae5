"""The front door in Python: what each command does, one call away, with the same names.

It sits on the roof: it brings the model, the judges, the suites and the reports together. Whatever
is heavy is imported inside the calls.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from dalle2eval.records import InputError, Plan, check_text
from dalle2eval.store import Store, check_writable, default_store, encode_png, write_atomic

if TYPE_CHECKING:
    from ablations.engines import Engine
    from ablations.plan import Work
    from ablations.workshop import Workshop
    from dalle2eval.protocols import TextToImage

REPORT_FORMATS = ("html", "md", "csv", "tex")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A suite with what the caller chooses on top of it.

    Attributes:
        suite: a built-in suite's name, or a YAML file.
        overrides: ``PATH=VALUE`` for any field of the suite.
        arms: only these; all when empty.
        limit: of scored prompts an arm.
        seed: the first seed, in place of the suite's.
        scale: how much is drawn: ``quick`` (as the suite is written), or what its ``scales`` hold.
        device: ``auto``, ``cpu`` or ``cuda``.
        store: folder of the artefacts; see `dalle2eval.store.default_store`.
        executor: ``local``, or ``ray`` for a Ray cluster.
        workers: of Ray, at the same time; None for as many as there is room for.
        ray_address: of a Ray cluster; None starts one on this machine.
    """

    suite: str
    overrides: tuple[str, ...] = ()
    arms: tuple[str, ...] = ()
    limit: int | None = None
    seed: int | None = None
    scale: str | None = None
    device: str = "auto"
    store: str | Path | None = None
    executor: str = "local"
    workers: int | None = None
    ray_address: str | None = None

    @property
    def engine(self) -> Engine:
        """Return who is to make the units."""
        from ablations.engines import Engine

        return Engine(name=self.executor, workers=self.workers, address=self.ray_address)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Prepared:
    work: Work
    store: Store
    workshop: Workshop
    recipe: Callable[[], Workshop]  # opens the workshop on another machine
    weights: Mapping[str, str]
    departures: tuple[str, ...]


def run(
    suite: str,
    *,
    out: str | Path | None = None,
    progress: TextIO | None = None,
    **choices: Any,
) -> Path:
    """Plan, generate, score, estimate and report; return the run folder.

    Called again with the same ``out`` it goes on where it was, or finds everything done.

    Args:
        suite: a built-in suite's name, or a YAML file.
        out: the run folder; ``runs/<suite>-<time>-<short fingerprint>`` when None.
        progress: where progress goes, such as ``sys.stderr``; None for silence.
        choices: the other fields of `Request`.

    Raises:
        InputError: something about the input is wrong; nothing was begun.
        DiskFullError: a disk is full; what is done stays done.
    """
    request = _request(suite, choices)
    engine = request.engine
    engine.check()
    if progress is not None:
        _announce(request, progress)
    prepared = _prepare(request, tells=progress is not None)
    folder = Path(out) if out is not None else _new_folder(prepared.work.plan)
    if progress is not None:
        _tell(progress, f"run folder: {folder}")

    from ablations.progress import watcher_for
    from ablations.runner import Site, run_work
    from ablations.training_units import tidy
    from reports.rendering import render

    site = Site(
        folder=folder,
        store=prepared.store,
        workshop=prepared.workshop,
        executor=engine.open(prepared.recipe, prepared.weights, request.device),
        environment=lambda: _environment(prepared, request),
        notes=_notes(prepared),
        watcher=watcher_for(
            progress or sys.stderr, quiet=progress is None, workers=engine.workers or 1
        ),
    )
    run_work(prepared.work, site)
    tidy(prepared.store, prepared.work.units)
    render(folder, REPORT_FORMATS)
    return folder


def plan(suite: str, **choices: Any) -> dict[str, Any]:
    """Return what a run would take, as plain data; no work is done and nothing is written."""
    from ablations.forecast import forecast

    prepared = _prepare(_request(suite, choices))
    return forecast(prepared.work, prepared.store)


def power(
    suite: str,
    *,
    effect: float | None = None,
    metrics: Sequence[str] | None = None,
    run: str | Path | None = None,
    power: float = 0.8,
    **choices: Any,
) -> dict[str, Any]:
    """Return how small a difference a suite can find, and how many prompts a wished one needs.

    Args:
        suite: a built-in suite's name, or a YAML file.
        effect: the wished difference, in the unit of each metric.
        metrics: which; those of the suite and of its probes when None.
        run: a finished run with the same metrics, whose arms say how much prompts differ. Without
            it only shares are answered, by their worst case.
        power: chance of finding a difference that is there.
        choices: the other fields of `Request`.

    Raises:
        InputError: a name is unknown, a number out of its range, or the run folder is not one.
    """
    from ablations.catalogue import tables
    from ablations.power import power_rows
    from dalle2eval.metrics import get_metric

    frozen = _prepare(_request(suite, choices)).work.plan
    given = tables().probes
    own = [*frozen.metrics, *(name for probe in frozen.probes for name in given[probe])]
    names = tuple(get_metric(name).name for name in metrics or dict.fromkeys(own))
    folder = None if run is None else Path(run)
    rows = power_rows(frozen, metrics=names, effect=effect, power=power, run=folder)
    return {"suite": frozen.suite, "effect": effect, "power": power, "metrics": rows}


def sample(  # noqa: PLR0913  (the command's options by their names)
    prompts: Sequence[str],
    *,
    out: str | Path,
    model: str = "scenes",
    seed: int = 0,
    n: int = 1,
    size: int | None = None,
    stages: bool = False,
    device: str = "auto",
    settings: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Draw pictures into a folder and return their files.

    Args:
        prompts: what to draw.
        out: the folder.
        model: name of the weights.
        seed: of the first picture of each prompt; the others count on from it.
        n: pictures a prompt.
        size: in pixels; the smallest when None, or the largest with ``stages``.
        stages: also keep what each stage before the last one drew.
        device: ``auto``, ``cpu`` or ``cuda``.
        settings: of the model.

    Raises:
        InputError: no such model, setting or size, or the folder cannot be written.
    """
    from ablations.catalogue import check_device, open_ensemble, told_plainly
    from ablations.sampling import draw_stages

    check_device(device)
    if not prompts or not all(prompt.strip() for prompt in prompts):
        raise InputError("a prompt is empty; say what to draw")
    for prompt in prompts:
        check_text(prompt, "a prompt")
    chosen = open_ensemble(model, device)
    with told_plainly():
        if size is None:
            size = max(chosen.sizes) if stages else min(chosen.sizes)
        chain = chosen.plan_stages(chosen.resolve_settings(settings or {}), size)
        for stage in chain:
            keys = [(prompt, seed) for prompt in prompts]
            chosen.check_samples(stage, prompts, keys)
    check_writable(Path(out), "--out")
    files = []
    for drawn in draw_stages(
        cast("TextToImage", chosen), chain, prompts, seeds=range(seed, seed + n)
    ):
        if drawn.size == size or stages:
            files.append(Path(out) / drawn.file_name)
            write_atomic(files[-1], encode_png(drawn.pixels))
    return files


def report(
    folders: Sequence[str | Path], formats: Sequence[str] = REPORT_FORMATS
) -> dict[str, list[str]]:
    """Render the reports of finished runs again and return the files of each folder."""
    from reports.rendering import render

    return {
        str(folder): [str(path) for path in render(folder, formats).values()] for folder in folders
    }


def read_summary(folder: Path) -> dict[str, Any]:
    """Return ``summary.json`` of a finished run, without its list of pictures."""
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    del summary["gallery"]
    return summary


def parse_settings(assignments: Sequence[str]) -> dict[str, Any]:
    """Return settings from ``NAME=VALUE`` texts.

    Raises:
        InputError: one is not of that form.
    """
    import yaml

    settings = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputError(f'--set {text}: expected NAME=VALUE, as "guidance_scale=2"')
        try:
            settings[name] = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError, RecursionError):
            raise InputError(f"--set {text}: the value is not valid YAML") from None
    return settings


def _request(suite: str, choices: Mapping[str, Any]) -> Request:
    tuples = {name: tuple(choices[name]) for name in ("overrides", "arms") if name in choices}
    return Request(suite=suite, **{**choices, **tuples})


def _prepare(request: Request, *, tells: bool = False) -> _Prepared:
    """Check everything that the user chose, and plan the work; loads no network."""
    from ablations.catalogue import (
        check_device,
        find_judge,
        judged_by,
        judges_for,
        open_ensemble,
        open_workshop,
        resolve_device,
        tables,
        told_plainly,
        workshop,
    )
    from ablations.departures import departures
    from ablations.loading import load_suite
    from ablations.plan import plan_work
    from ablations.resolving import Choice, resolve
    from ablations.trainings import is_training
    from ablations.workshop import TrainingRoom
    from dalle2eval.prompts import load_prompts

    check_device(request.device, here=request.ray_address is None)
    loaded = load_suite(request.suite, request.overrides, request.scale)
    choice = Choice(arms=request.arms, limit=request.limit, seed=request.seed)
    with told_plainly():
        model = open_ensemble(loaded.suite.model.name, request.device)
        judge = find_judge()
        frozen = resolve(
            loaded,
            model,
            load_prompts=load_prompts,
            tables=tables(),
            choice=choice,
            judged_by=judged_by(judge),
        )
        if is_training(frozen):
            request.engine.check_training()
        work = plan_work(frozen, model, judges_for(frozen, judge))
    root = Path(request.store) if request.store is not None else default_store()
    room = TrainingRoom(
        store=root,
        device=resolve_device(request.device) if is_training(frozen) else "cpu",
        tells=tells,
    )
    others = {name: other.weights for name, other in model.others.items()}
    weights = {model.name: model.weights, judge.name: judge.weights, **others}
    return _Prepared(
        work=work,
        store=Store(root),
        workshop=workshop(cast("TextToImage", model), request.device, room),
        recipe=partial(open_workshop, loaded.suite.model.name, request.device),
        weights=weights,
        departures=departures(loaded, frozen, choice, load_prompts),
    )


def _announce(request: Request, progress: TextIO) -> None:
    """Say at once what is asked and what it costs by its own account; the plan knows better."""
    from ablations.loading import load_suite

    suite = load_suite(request.suite, request.overrides, request.scale).suite
    cost = f" (whole: {suite.cost.minutes:g} min on two CPU cores)" if suite.cost else ""
    _tell(progress, f"{suite.question}{cost}")


def _tell(progress: TextIO, line: str) -> None:
    progress.write(line + "\n")
    progress.flush()


def _notes(prepared: _Prepared) -> list[str]:
    from ablations.catalogue import SHARED_WORLD

    return [*prepared.departures, SHARED_WORLD]


def _environment(prepared: _Prepared, request: Request) -> dict[str, Any]:
    from ablations.catalogue import resolve_device
    from ablations.environment import describe_environment

    elsewhere = request.ray_address is not None  # then each node resolves "auto" for itself
    device = request.device if elsewhere else resolve_device(request.device)
    return {
        **describe_environment(prepared.weights, device),
        "executor": {"name": request.executor, "workers": request.workers},
    }


def _new_folder(plan: Plan) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    return Path("runs") / f"{plan.suite}-{stamp}-{plan.fingerprint[:8]}"
