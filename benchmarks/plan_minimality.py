"""Whether a plan makes nothing twice: network calls planned, made, and the fewest there can be.

    uv run python benchmarks/plan_minimality.py

The suite `prior` at its three scales, planned for the bundled weights: its network calls, the
fewest by a second count that knows nothing of units or addresses, and those of running each arm
independently (alone, and with the reference arm that its comparison needs). Then, made with the
weights `tiny` and counted in the networks themselves: the suite, the finished run again, the suite
with one arm changed, and a guidance sweep of 9 points. Writes
benchmarks/results/plan_minimality.json.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from machine import machine_facts

from dalle2eval import api
from dalle2eval.records import Plan
from dalle2eval.store import Store
from reference_model.dalle2 import load

RESULT = Path(__file__).parent / "results" / "plan_minimality.json"
TINY = (
    "model.name=tiny",
    "model.decoder_steps=4",
    "model.prior_steps=4",
    "samples_per_prompt=2",  # also at `smoke`: diversity within a prompt needs two
)
SCALES = ("smoke", "quick", "full")
SHARD = 16  # pictures drawn together, a fixed boundary (docs/design/003)
SWEEP = """\
question: What does the decoder's guidance do?
model: {name: tiny, decoder_steps: 4, prior_steps: 4}
prompts: {set: scenes/quick, n: 8}
samples_per_prompt: 2
sizes: {all: 64}
reference_images: {n_per_prompt: 4}
arms:
  guidance: {grid: {guidance_scale: [1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0]}}
metrics: [fd_scenes, clip_score]
"""


def prepared(suite: str, **choices: Any) -> Any:
    """Return a suite's work, planned as a command plans it."""
    return api._prepare(api._request(suite, choices))


def planned_calls(suite: str, **choices: Any) -> int:
    """Return the network calls of a suite's plan with an empty store."""
    return sum(unit.forward_passes for unit in prepared(suite, **choices).work.units)


def fewest_calls(plan: Plan) -> int:
    """Count the distinct network calls of a plan from its arms, without units or addresses."""
    model = load(plan.model["name"], device="cpu")
    pairs = [(p.text, p.id, seed) for p in plan.prompts for seed in plan.seeds]
    shards = [pairs[k : k + SHARD] for k in range(0, len(pairs), SHARD)]
    made: dict[str, int] = {}  # calls by what decides their result
    pictures = set()
    for arm in plan.arms:
        chain = model.plan_stages(arm.settings, 64)
        for shard in shards:
            for last in range(1, len(chain) + 1):
                decisive = [[s.name, s.settings, s.weights] for s in chain[:last]]
                key = json.dumps([decisive, shard], sort_keys=True)
                made[key] = chain[last - 1].forward_passes
            pictures.add(key)
    # The judge looks once at each shard of pictures, in either space, at its texts and at the
    # real pictures.
    references = len(plan.prompts) * plan.options["references_per_prompt"]
    judge = 2 * len(pictures) + len(shards) + math.ceil(references / SHARD)
    return sum(made.values()) + judge


def plan_counts(scale: str) -> dict[str, Any]:
    """Return the network calls of `prior` at a scale, beside the fewest and independent runs."""
    plan = prepared("prior", scale=scale).work.plan
    alone = with_reference = 0
    for arm in plan.arms:
        alone += planned_calls("prior", scale=scale, arms=(arm.name,))
        pair = tuple(name for name in (arm.reference, arm.name) if name)
        with_reference += planned_calls("prior", scale=scale, arms=pair)
    planned = planned_calls("prior", scale=scale)
    return {
        "arms": len(plan.arms),
        "planned": planned,
        "fewest": fewest_calls(plan),
        "each_arm_alone": alone,
        "each_arm_with_its_reference": with_reference,
        "alone_ratio": round(alone / planned, 2),
        "with_reference_ratio": round(with_reference / planned, 2),
    }


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count the calls of the model's networks by their class, while the block runs."""
    from torch.nn.modules.module import register_module_forward_pre_hook

    from reference_model.decoder import Decoder
    from reference_model.prior import DiffusionPrior
    from reference_model.upsamplers import Upsampler

    calls: Counter[str] = Counter()

    def note(module: Any, _inputs: Any) -> None:
        if isinstance(module, Decoder | DiffusionPrior | Upsampler):
            calls[type(module).__name__] += 1

    handle = register_module_forward_pre_hook(note)
    try:
        yield calls
    finally:
        handle.remove()


def make(suite: str, out: Path, store: Path, **choices: Any) -> dict[str, Any]:
    """Run a suite and return what was planned to be made, and what its networks were called."""
    work = prepared(suite, store=store, **choices).work
    missing = [u for u in work.units if not Store(store).has(u.address, u.kind)]
    arms = {
        arm.arm.name: {u.address for d in arm.drawn for u in d.images.values()} for arm in work.arms
    }
    drawn = {u.address for u in missing if u.stage != "conditioning"}
    with counted() as calls:
        api.run(suite, out=out, store=store, device="cpu", **choices)
    planned: Counter[str] = Counter()
    for unit in missing:
        planned[unit.stage] += unit.forward_passes
    return {
        "units": len(work.units),
        "shards": len(work.arms[0].drawn),
        "made": dict(Counter(unit.stage for unit in missing)),
        "planned_calls": dict(planned),
        "network_calls": dict(calls),
        "arms_drawn": sorted(name for name, images in arms.items() if images & drawn),
    }


def seconds_of(command: Sequence[str], environment: dict[str, str]) -> float:
    """Return the wall time of a command, its start included."""
    started = time.monotonic()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return round(time.monotonic() - started, 1)


def sweep_plan(folder: Path) -> dict[str, Any]:
    """Return how often a guidance sweep of 9 points runs each stage, by its plan."""
    suite = folder / "sweep.yaml"
    suite.write_text(SWEEP)
    work = prepared(str(suite), store=folder / "empty").work
    units = Counter(unit.stage for unit in work.units)
    return {"arms": len(work.arms), "shards": len(work.arms[0].drawn), "units": dict(units)}


def made_counts(folder: Path, scale: str, say: Callable[[str], object]) -> dict[str, Any]:
    """Run with the weights `tiny`, and count."""
    store, suite = folder / "store", "prior"
    rows: dict[str, Any] = {}
    rows["suite"] = make(suite, folder / "run", store, scale=scale, overrides=TINY)
    say("the suite is made")
    environment = {**os.environ, "DALLE2EVAL_STORE": str(store)}
    settings = [part for setting in TINY for part in ("--set", setting)]
    command = [sys.executable, "-m", "dalle2eval", "run", suite, "--scale", scale, *settings]
    rows["warm_s"] = {
        "same_folder": seconds_of([*command, "--out", str(folder / "run")], environment),
        "new_folder": seconds_of([*command, "--out", str(folder / "again")], environment),
    }
    say("and again")
    changed = (*TINY, "arms.caption.guidance_scale=2.5")
    rows["one_arm_changed"] = make(suite, folder / "changed", store, scale=scale, overrides=changed)
    sweep = str(folder / "sweep.yaml")
    rows["sweep_of_9"] = make(sweep, folder / "sweep", folder / "other-store")
    return rows


def main() -> None:
    """Count and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", default="smoke", help="of what is made with the weights tiny")
    parser.add_argument("--plans-only", action="store_true", help="make nothing")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    say = lambda text: sys.stderr.write(text + "\n")  # noqa: E731
    plans = {scale: plan_counts(scale) for scale in SCALES}
    say(json.dumps(plans, indent=1))
    document: dict[str, Any] = {"machine": machine_facts(), "prior": plans}
    with tempfile.TemporaryDirectory() as folder:
        document["sweep_of_9"] = sweep_plan(Path(folder))
        if not args.plans_only:
            made = made_counts(Path(folder), args.scale, say)
            document["made_with_tiny"] = {"scale": args.scale, **made}
    args.out.write_text(json.dumps(document, indent=1) + "\n")
    sys.stdout.write(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
