"""Does the gate stay silent when nothing changed, and does it find what was spoilt on purpose?

Runs the gate suite once a condition (and again with other seeds for the base), then holds 200
resampled gates a row against each other with the gate's own verdict. Writes gate_power.json and
gate_power.md after every row; called again it goes on: run folders that are finished and rows of
the same runs and code are kept.

    uv run python benchmarks/gate_power.py --work .train/gate-power

What is resampled, and why that is valid:

* A/A ("other seeds"): K runs of the suite differ in their seeds alone. Each gate draws, prompt by
  prompt and independently, which two of the K runs are baseline and current. Seeds of one model are
  exchangeable, so every such draw is as likely a pair of runs as those that were made, and its
  expected difference is exactly zero. (Resampling prompts of one fixed pair would not do: their
  observed difference would become a true one.) The K (K - 1) gates of whole runs stand beside it.
* Planted changes: base and spoilt run share prompts, seeds and noise. Each gate draws n prompts
  with replacement, the same on both sides, with all their images: the cluster bootstrap of the
  experiment "n new prompts from this source", whose true effect is the one observed. Prompts are
  what the gate's intervals treat as independent. A prompt drawn twice counts as two prompts.
* A metric over a set (FD) is not computed anew on the drawn images: its value is that of the run
  plus the mean of the drawn images' first-order contributions (`statistics.contributions`), the
  same linearisation that the gate's interval rests on. The bias of a smaller n is left out; it is
  nearly equal on both sides and cancels in their difference.
* Rows with n above the prompts of the runs are not made: a bootstrap cannot know new prompts.

The interval of a rate is Wilson's over the resampled gates: it holds the error of resampling, not
that of having made each spoilt run once.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine_facts
from spoiling import BASE, CLASS, Condition, Spoilt, conditions

import dalle2eval
from dalle2eval.gate.baseline import Baseline, conditions_of
from dalle2eval.gate.calibrating import calibration_json
from dalle2eval.gate.calibration import by_rank, calibrated
from dalle2eval.gate.decision import decide
from dalle2eval.gate.measured import ArmMeasured, MetricMeasured, measured_arms
from dalle2eval.gate.tripwires import tripped
from dalle2eval.gate.verdicts import corrected, judge_arm
from dalle2eval.records import NotComparable, SampleKey
from dalle2eval.statistics import wilson_interval
from reports.reading import read_run
from reports.run_record import RunRecord

RESULTS = Path(__file__).parent / "results"
Arms = Mapping[str, ArmMeasured]


def run_condition(how: Condition, work: Path, *, suite: str, seed: int, limit: int | None) -> Path:
    """Run the suite under one condition, in a folder and a store of its own."""
    from ablations.executors import LocalExecutor
    from ablations.runner import Site, run_work
    from ablations.workshop import Workshop
    from dalle2eval import api

    folder = work / f"{how.name}-{seed}"
    request = api.Request(
        suite=suite,
        overrides=how.overrides,
        seed=seed,
        limit=limit,
        store=work / f"{how.name}-store",  # a spoilt picture must not be found by another condition
    )
    prepared = api._prepare(request)
    plain = prepared.workshop
    workshop = Workshop(
        open_model=lambda: Spoilt(plain.model, how),
        open_judge=lambda: plain.judge,
        probes=plain.probes,
    )
    site = Site(
        folder=folder,
        store=prepared.store,
        workshop=workshop,
        executor=LocalExecutor(),
        environment=lambda: api._environment(prepared, request),
    )
    return run_work(prepared.work, site)


# ---- resampling


def mixed(repeats: Sequence[Arms], rng: np.random.Generator) -> tuple[Arms, Arms]:
    """Return two sides, each prompt of them from two different runs drawn at random."""
    some = next(iter(repeats[0].values()))
    prompts = sorted({key.prompt_id for key in some.keys})
    drawn = {p: rng.choice(len(repeats), size=2, replace=False) for p in prompts}
    sides = []
    for side in (0, 1):
        of = {prompt: int(pair[side]) for prompt, pair in drawn.items()}
        sides.append({name: _picked(repeats, name, of) for name in repeats[0]})
    return sides[0], sides[1]


def _picked(repeats: Sequence[Arms], arm: str, of: Mapping[str, int]) -> ArmMeasured:
    first = repeats[0][arm]
    metrics = {}
    for name, metric in first.metrics.items():
        sources = [repeat[arm].metrics[name] for repeat in repeats]
        rows = {k: _told(sources[of[k.prompt_id]], k) for k in metric.by_image}
        metrics[name] = _measured(metric, {k: v for k, v in rows.items() if v is not None})
    return ArmMeasured(name=arm, keys=first.keys, metrics=metrics)


def drawn(arms: Arms, prompts: Sequence[str]) -> Arms:
    """Return a side with the drawn prompts only; one that was drawn twice is two prompts."""
    return {name: _drawn(arm, prompts) for name, arm in arms.items()}


def _drawn(arm: ArmMeasured, prompts: Sequence[str]) -> ArmMeasured:
    by_prompt: dict[str, list[SampleKey]] = {}
    for key in sorted(arm.keys):
        by_prompt.setdefault(key.prompt_id, []).append(key)
    moved = [
        (key, SampleKey(prompt_id=f"{place}/{prompt}", seed=key.seed))
        for place, prompt in enumerate(prompts)
        for key in by_prompt[prompt]
    ]
    metrics = {}
    for name, metric in arm.metrics.items():
        rows = {new: _told(metric, old) for old, new in moved if old in metric.by_image}
        metrics[name] = _measured(metric, {k: v for k, v in rows.items() if v is not None})
    return ArmMeasured(name=arm.name, keys=frozenset(new for _, new in moved), metrics=metrics)


def _told(metric: MetricMeasured, key: SampleKey) -> float | None:
    """Return an image's score, or the metric's value as this image alone would have it."""
    value = metric.by_image.get(key)
    if value is None or not metric.over_set:
        return value
    return (metric.value or 0.0) + value


def _measured(metric: MetricMeasured, rows: Mapping[SampleKey, float]) -> MetricMeasured:
    """Return a metric over other images: their mean, and what each adds to it."""
    if not rows or metric.value is None:
        return replace(metric, by_image={})
    value = float(np.mean(list(rows.values())))
    by_image = {k: v - value for k, v in rows.items()} if metric.over_set else dict(rows)
    return replace(metric, value=value, n=len(rows), by_image=by_image)


def alarmed(base: Arms, current: Arms) -> list[str]:
    """Return the gating metrics that a gate with the policy's floors calls a regression.

    Not comparable is no alarm here: a draw with one prompt of a class cannot judge that class, and
    a real gate of so few would not have gated it either.
    """
    rows = corrected([row for name in base for row in judge_arm(base[name], current[name], {})])
    return [row.metric for row in rows if row.gating and row.verdict == "regression"]


def count(pairs: Iterator[tuple[Arms, Arms]], gates: int) -> dict[str, Any]:
    """Return how many gates gave an alarm, and by which metric."""
    found = [alarmed(*next(pairs)) for _ in range(gates)]
    hits = sum(map(bool, found))
    interval = wilson_interval(hits, gates)
    return {
        "gates": gates,
        "alarms": hits,
        "rate": round(hits / gates, 4),
        "low": round(interval.low, 4),
        "high": round(interval.high, 4),
        "by_metric": dict(Counter(metric for metrics in found for metric in set(metrics))),
    }


def aa_pairs(repeats: Sequence[Arms], rng: np.random.Generator) -> Iterator[tuple[Arms, Arms]]:
    """Yield pairs of equal quality."""
    while True:
        yield mixed(repeats, rng)


def planted_pairs(
    base: Arms, spoilt: Arms, n: int, rng: np.random.Generator
) -> Iterator[tuple[Arms, Arms]]:
    """Yield base and spoilt over n prompts drawn with replacement, the same on both sides."""
    prompts = sorted({key.prompt_id for key in next(iter(base.values())).keys})
    while True:
        chosen = [prompts[i] for i in rng.integers(0, len(prompts), size=n)]
        yield drawn(base, chosen), drawn(spoilt, chosen)


# ---- the table


def dropped(run: RunRecord) -> dict[str, Any]:
    """Return what the gate says of a run in which a class of prompts is gone: always the same."""
    accepted = Baseline(
        accepted={}, conditions=conditions_of(run), floors={}, arms=measured_arms(run)
    )
    kept = tuple(prompt for prompt in run.plan.prompts if CLASS not in prompt.tags)
    try:
        decide(replace(run, plan=replace(run.plan, prompts=kept)), accepted)
    except NotComparable as error:
        return {"found": True, "exit_code": 12, "says": str(error)}
    return {"found": False}


def code_hash() -> str:
    """Return a hash of the code that decides, so that rows of other code are made again."""
    house = Path(dalle2eval.__file__).parent
    files = sorted(p for room in ("gate", "statistics") for p in (house / room).glob("*.py"))
    return hashlib.sha256(b"".join(p.read_bytes() for p in [*files, Path(__file__)])).hexdigest()


def read_rows(path: Path, head: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rows of an earlier call with the same code, suite and number of gates."""
    if not path.exists():
        return {}
    document = json.loads(path.read_text())
    same = all(document.get(name) == value for name, value in head.items())
    return dict(document["rows"]) if same else {}


def write(out: Path, head: Mapping[str, Any], rows: Mapping[str, Any], more: Any) -> None:
    """Write gate_power.json and gate_power.md."""
    document = {**head, "machine": machine_facts(), **more, "rows": rows}
    (out / "gate_power.json").write_text(json.dumps(document, indent=1) + "\n")
    lines = [
        "# What the gate finds",
        "",
        f"{head['gates']} resampled gates a row, suite `{head['suite']}`, floors of the policy; "
        "how they are drawn stands in `benchmarks/gate_power.py`.",
        "",
        "| change | prompts | stopped | 95% interval | by |",
        "|---|--:|--:|---|---|",
    ]
    lines += [
        f"| {row['what']} | {row['n']} | {100 * row['rate']:.1f}% | "
        f"{100 * row['low']:.1f} to {100 * row['high']:.1f}% | "
        + ", ".join(f"{m} {k}" for m, k in sorted(row["by_metric"].items(), key=lambda x: -x[1]))
        + " |"
        for row in rows.values()
    ]
    (out / "gate_power.md").write_text("\n".join(lines) + "\n")


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("runs/gate-power"))
    parser.add_argument("--suite", default="gate")
    parser.add_argument("--repeats", type=int, default=6, help="runs with other seeds")
    parser.add_argument("--gates", type=int, default=200)
    parser.add_argument("--limit", type=int, help="prompts a run, to try it out")
    parser.add_argument("--n", type=int, nargs="*", default=[30, 60, 90], help="besides all")
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args()


def main() -> None:
    """Make the runs that are missing, then the rows that are missing."""
    args = options()
    args.out.mkdir(parents=True, exist_ok=True)
    head = {"suite": args.suite, "limit": args.limit, "gates": args.gates, "code": code_hash()}
    rows = read_rows(args.out / "gate_power.json", head)

    def made(how: Condition, seed: int = 0) -> RunRecord:
        sys.stderr.write(f"run: {how.name}, first seed {seed}\n")
        place = run_condition(how, args.work, suite=args.suite, seed=seed, limit=args.limit)
        return read_run(place)

    first = made(BASE)
    step, prompts = len(first.plan.seeds), len(first.plan.prompts)
    more: dict[str, Any] = {
        "prompts": prompts,
        "seeds": step,
        "run_s": {"base": first.cost.total_s},
        "broken pictures": {},
        "class dropped": dropped(first),
    }
    counted = frozenset(p.text for p in first.plan.prompts if CLASS in p.tags)
    for how in conditions(counted):
        run = made(how)
        more["run_s"][how.name] = run.cost.total_s
        more["broken pictures"][how.name] = len(tripped(run))
        for n in sorted({n for n in args.n if n < prompts} | {prompts}):
            name = row_name(how, n, first, run)
            if name not in rows:
                pairs = planted_pairs(
                    measured_arms(first), measured_arms(run), n, np.random.default_rng(n)
                )
                rows[name] = {"what": how.what, "n": n, **count(pairs, args.gates)}
                write(args.out, head, rows, more)
                sys.stderr.write(f"{rows[name]['rate']:.3f}  {name}\n")
    runs = [first, *(made(BASE, step * i) for i in range(1, args.repeats))]
    repeats = [by_rank(measured_arms(run)) for run in runs]
    name = f"A/A, {args.repeats} runs, {first.plan.fingerprint[:8]}"
    if name not in rows:
        pairs = aa_pairs(repeats, np.random.default_rng(0))
        row = {"what": "none: other seeds", "n": prompts, **count(pairs, args.gates)}
        rows = {name: row, **rows}
    more["whole runs"] = calibration_json(calibrated(repeats))
    write(args.out, head, rows, more)
    sys.stdout.write((args.out / "gate_power.md").read_text())


def row_name(how: Condition, n: int, base: RunRecord, spoilt: RunRecord) -> str:
    """Return what names a row: the condition, n and both runs."""
    runs = f"{base.plan.fingerprint[:8]}-{spoilt.plan.fingerprint[:8]}"
    return f"{how.name}, n={n}, {runs}"


if __name__ == "__main__":
    main()
