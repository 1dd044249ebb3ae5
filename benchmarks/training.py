"""Training steps a second of decoder and prior: diffusers' modules and ours, same shapes.

    uv run python benchmarks/training.py --steps 6

One plain loop for both sides: forward, mean squared error, backward, AdamW; in float32 and in
bfloat16 (autocast), in turns, on the weights of benchmarks/diffusers_peer.py. "ours, compiled" is
what a recipe with ``compiled=True`` trains: channels_last and torch.compile. Writes
benchmarks/results/training.json with the machine's facts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from diffusers_peer import (
    Shape,
    converted_decoder,
    converted_prior,
    random_text,
    their_decoder,
    their_prior,
)
from machine import machine_facts
from torch import Tensor, nn
from torch.nn import functional

from dalle2eval.allocator import keep_freed_memory

RESULT = Path(__file__).parent / "results" / "training.json"
BATCHES = {"decoder": 8, "prior": 32}

Forward = Callable[[], Tensor]


def decoder_sides(shape: Shape, n: int, *, compiled: bool) -> Iterator[tuple[str, Any, Forward]]:
    """Yield (side, module, forward) of the decoder's U-Net with its projections."""
    torch.manual_seed(0)
    net, projections = their_decoder(shape)
    text, z_i = random_text(shape, n).given, torch.randn(n, shape.z_dim)
    x_t, t = torch.randn(n, 3, shape.sizes[0], shape.sizes[0]), torch.arange(n) * 100 % 1000
    wide = functional.pad(text.mask, (4, 0), value=True)

    def theirs() -> Tensor:
        context, added = projections(
            image_embeddings=z_i,
            prompt_embeds=text.z_t,
            text_encoder_hidden_states=text.states,
            do_classifier_free_guidance=False,
        )
        return net(x_t, t, context, class_labels=added, attention_mask=wide).sample

    yield "diffusers", nn.ModuleList([net, projections]), theirs
    for name in ["ours", "ours, compiled"] if compiled else ["ours"]:
        ours = converted_decoder(net, projections)
        if name != "ours":
            ours.to(memory_format=torch.channels_last)
            ours.unet.compile()
        yield name, ours, lambda ours=ours: ours(x_t, t, *ours.condition(z_i, text))


def prior_sides(shape: Shape, n: int) -> Iterator[tuple[str, Any, Forward]]:
    """Yield (side, module, forward) of the prior."""
    torch.manual_seed(0)
    net = their_prior(shape)
    text, x_t = random_text(shape, n).given, torch.randn(n, shape.z_dim)
    t, known = torch.arange(n) * 31 % 1000, torch.ones(n, dtype=torch.bool)
    ours = converted_prior(net)

    def theirs() -> Tensor:
        return net(x_t, t, text.z_t, text.states, text.mask).predicted_image_embedding

    yield "diffusers", net, theirs
    yield "ours", ours, lambda: ours.network(x_t, t, text.states, text.mask, text.z_t, known)


def stepper(module: nn.Module, forward: Forward, *, bf16: bool) -> Callable[[], float]:
    """Return a function that trains one step on a fixed target and returns the loss."""
    module.train().requires_grad_(requires_grad=True)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-4)

    def step() -> float:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            output = forward()
        loss = functional.mse_loss(output.float(), torch.zeros_like(output, dtype=torch.float32))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def in_turns(steppers: dict[str, Callable[[], float]], steps: int) -> dict[str, Any]:
    """Return each side's median seconds a step and its losses; the first two steps warm up."""
    seconds: dict[str, list[float]] = {side: [] for side in steppers}
    losses: dict[str, list[float]] = {side: [] for side in steppers}
    for _ in range(steps + 2):
        for side, step in steppers.items():
            started = time.monotonic()
            losses[side].append(step())
            seconds[side].append(time.monotonic() - started)
    return {
        side: {
            "seconds_per_step": round(statistics.median(values[2:]), 4),
            "steps_per_second": round(1 / statistics.median(values[2:]), 3),
            "first_losses": [round(loss, 6) for loss in losses[side][:3]],
        }
        for side, values in seconds.items()
    }


def measure(stage: str, shape: Shape, steps: int, *, bf16: bool, compiled: bool) -> dict[str, Any]:
    """Measure one stage in one precision, and say how many times faster ours is."""
    n = BATCHES[stage]
    sides = (
        decoder_sides(shape, n, compiled=compiled) if stage == "decoder" else prior_sides(shape, n)
    )
    steppers = {side: stepper(module, forward, bf16=bf16) for side, module, forward in sides}
    row = in_turns(steppers, steps)
    base = row["diffusers"]["seconds_per_step"]
    for values in row.values():
        values["times_faster"] = round(base / values["seconds_per_step"], 2)
    return {"stage": stage, "precision": "bf16" if bf16 else "fp32", "batch": n, "sides": row}


def main() -> None:
    """Measure both stages in both precisions; print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--compiled", action="store_true", help="also through torch.compile")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    held, shape = keep_freed_memory(), Shape(channels=args.channels)
    rows = []
    for stage in BATCHES:
        for bf16 in (False, True):
            row = measure(stage, shape, args.steps, bf16=bf16, compiled=args.compiled)
            rows.append(row)
            sys.stdout.write(json.dumps(row) + "\n")
            sys.stdout.flush()
    document = {
        "machine": machine_facts(),
        "freed_memory_is_kept": held,
        "shape": asdict(shape),
        "rows": rows,
    }
    args.out.parent.mkdir(exist_ok=True)
    args.out.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
