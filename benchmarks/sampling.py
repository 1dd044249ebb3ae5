"""How long sampling takes: the bundled stack, and the same networks as diffusers runs them.

    uv run python benchmarks/sampling.py --repeats 3

First each stage of the bundled stack, in batches of a run (16). Then Karlo's networks at smaller
widths with equal weights on both sides (benchmarks/diffusers_peer.py), stage by stage and in turns:
25 prior, 25 decoder and 7 upsampler steps, guidance on, both under the allocator settings of our
commands. Writes benchmarks/results/sampling.json with the machine's facts.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from diffusers_peer import (
    SCALES,
    STEPS,
    Shape,
    Side,
    both_sides,
    draw_decoder,
    draw_prior,
    draw_upsampler,
    random_text,
)
from machine import machine_facts
from torch import Tensor

from dalle2eval.allocator import keep_freed_memory
from reference_model import DALLE2, load
from reference_model.karlo.text import TextPair

RESULT = Path(__file__).parent / "results" / "sampling.json"
PROMPTS = (
    "a red circle",
    "two blue stars",
    "a green ring above a white cross",
    'the word "SUN" in red',
)


def time_stages(model: DALLE2, n: int, size: int) -> list[dict[str, Any]]:
    """Run the chain to ``size`` pixels on n pictures, each stage twice; keep the second time."""
    prompts = [PROMPTS[k % len(PROMPTS)] for k in range(n)]
    keys = [(prompt, k) for k, prompt in enumerate(prompts)]
    rows, values = [], None
    for stage in model.plan_stages(model.resolve_settings({}), size):
        for _ in range(2):  # the first call loads weights
            started = time.monotonic()
            made = model.run_stage(stage, prompts, keys, values)
            seconds = time.monotonic() - started
        values = made
        rows.append(
            {
                "stage": stage.name,
                "pictures": n,
                "forward_passes": stage.forward_passes,
                "seconds_per_picture": round(seconds / n, 4),
            }
        )
    return rows


Draw = Callable[[], Tensor]


def our_draws(side: Side, text: TextPair, z_i: Tensor, low: Tensor) -> dict[str, Draw]:
    """Return what runs each stage on our side."""
    keys = [("prompt", k) for k in range(len(z_i))]
    return {
        "prior": lambda: side.prior.sample(
            text, keys, steps=STEPS["prior"], guidance_scale=SCALES["prior"]
        ),
        "decoder": lambda: side.decoder.sample(
            z_i, text, keys, steps=STEPS["decoder"], guidance_scale=SCALES["decoder"]
        ),
        "upsampler": lambda: side.upsampler.sample(
            low, keys, steps=STEPS["upsampler"], stage="upsampler_256"
        ),
    }


def their_draws(side: Side, text: TextPair, z_i: Tensor, low: Tensor) -> dict[str, Draw]:
    """Return what runs each stage on diffusers' side."""
    return {
        "prior": lambda: draw_prior(side, text),
        "decoder": lambda: draw_decoder(side, text, z_i),
        "upsampler": lambda: draw_upsampler(side, low),
    }


def largest_differences(theirs: Side, ours: Side, text: TextPair, z_i: Tensor) -> dict[str, float]:
    """Return max |difference| of one call of each network, both sides given the same."""
    n, t = len(z_i), torch.full((len(z_i),), 500)
    size = theirs.decoder.config.sample_size
    x, low = torch.randn(n, 3, size, size), torch.rand(n, 3, size, size) * 2 - 1
    z_t, states, mask = text.given
    context, added = theirs.projections(
        image_embeddings=z_i,
        prompt_embeds=z_t,
        text_encoder_hidden_states=states,
        do_classifier_free_guidance=False,
    )
    wide = torch.nn.functional.pad(mask, (4, 0), value=True)
    large = ours.upsampler.enlarged(low)
    pairs = {
        "prior": (
            theirs.prior(z_i, t, z_t, states, mask).predicted_image_embedding,
            ours.prior.network.continued(
                z_i, t, *ours.prior.network.remember(states, mask, z_t, mask[:, 0])
            ),
        ),
        "decoder": (
            theirs.decoder(x, t, context, class_labels=added, attention_mask=wide).sample,
            ours.decoder(x, t, *ours.decoder.condition(z_i, text.given)),
        ),
        "upsampler": (
            theirs.upsampler[0](torch.cat([large, large], dim=1), t).sample,
            ours.upsampler.first(large, t, low=large),
        ),
    }
    return {name: float((a - b).abs().max()) for name, (a, b) in pairs.items()}


def against_diffusers(shape: Shape, n: int, repeats: int) -> dict[str, Any]:
    """Time both sides' stages in turns; medians, and how many times faster ours are."""
    theirs, ours = both_sides(shape)
    text, source = random_text(shape, n), torch.Generator().manual_seed(6)
    z_i = torch.randn(n, shape.z_dim, generator=source)
    low = torch.rand(n, 3, shape.sizes[0], shape.sizes[0], generator=source) * 2 - 1
    sides = {
        "diffusers": their_draws(theirs, text, z_i, low),
        "ours": our_draws(ours, text, z_i, low),
    }
    with torch.inference_mode():
        differences = largest_differences(theirs, ours, text, z_i)
        stages = {stage: time_in_turns(sides, stage, repeats) for stage in STEPS}
    total = {side: sum(row[side]["seconds"] for row in stages.values()) for side in sides}
    return {
        "shape": asdict(shape),
        "pictures": n,
        "steps": STEPS,
        "guidance_scales": SCALES,
        "repeats": repeats,
        "largest_difference_of_one_call": differences,
        "stages": stages,
        "seconds": total,
        "times_faster": round(total["diffusers"] / total["ours"], 2),
    }


def time_in_turns(sides: dict[str, dict[str, Draw]], stage: str, repeats: int) -> dict[str, Any]:
    """Return each side's median seconds, by the clock and of the CPUs; one run to warm up."""
    turns: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
    for _ in range(repeats + 1):
        for side, draws in sides.items():
            started, cpu = time.monotonic(), time.process_time()
            draws[stage]()
            turns[side].append((time.monotonic() - started, time.process_time() - cpu))
    row: dict[str, Any] = {}
    for side, measured in turns.items():
        wall, cpu_s = (statistics.median(column) for column in zip(*measured[1:], strict=True))
        row[side] = {"seconds": round(wall, 3), "cpu_seconds": round(cpu_s, 3)}
    row["times_faster"] = round(row["diffusers"]["seconds"] / row["ours"]["seconds"], 2)
    return row


def main() -> None:
    """Measure the bundled stack, then both sides of the peers' networks; print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=16, help="pictures of the bundled stack")
    parser.add_argument("--pictures", type=int, default=1, help="pictures beside diffusers")
    parser.add_argument("--repeats", type=int, default=3, help="turns beside diffusers")
    parser.add_argument("--channels", type=int, default=Shape().channels)
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    held = keep_freed_memory()
    model = load("scenes", device="cpu")
    rows = time_stages(model, args.n, 256) + time_stages(model, 2, 1024)[-1:]
    document = {
        "machine": machine_facts(),
        "freed_memory_is_kept": held,
        "weights": model.weights,
        "stages": rows,
        "against_diffusers": against_diffusers(
            Shape(channels=args.channels), args.pictures, args.repeats
        ),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    args.out.parent.mkdir(exist_ok=True)
    args.out.write_text(json.dumps(document, indent=1) + "\n")
    sys.stdout.write(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
