"""One call of a decoder's U-Net at equal shape: dalle2-pytorch 1.15.6 and ours.

    PYTHONPATH=. python benchmarks/equal_shape.py --repeats 5

in an environment of its own (`uv venv E && uv pip install -p E/bin/python --no-config torch==2.15.0
dalle2-pytorch==1.15.6`): it needs an open_clip older than ours.

Equal shape: 64 px, the same channels, residual blocks, attention levels and heads, text length and
learned variance. Not the same function (theirs has a cross-embedding stem, convolutions that
resample by pixel shuffle, and attention layers of its own), so what is compared is seconds for
each picture that the network is asked about, and for a whole loop of 25 guided steps. Writes
benchmarks/results/equal_shape.json with the machine's facts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from machine import machine_facts
from torch import Tensor, nn

from dalle2eval.allocator import keep_freed_memory
from reference_model.config import DecoderConfig, TextEncoderConfig, UnetConfig
from reference_model.decoder import Decoder

RESULT = Path(__file__).parent / "results" / "equal_shape.json"
SIZE, STEPS, SCALE = 64, 25, 2.0
WIDTH, DEPTH, MULTIPLIERS = 32, 2, (1, 2, 3, 4)
HEAD, CONTEXT, TOKENS, Z = 16, 128, 77, 64


def our_decoder() -> Decoder:
    """Return ours: the U-Net's levels below the finest have attention that reads the text."""
    unet = UnetConfig(
        patch=1,
        channels=WIDTH,
        multipliers=MULTIPLIERS,
        depth=DEPTH,
        attention_levels=(1, 2, 3),
        head_channels=HEAD,
        context_width=CONTEXT,
        vector_width=CONTEXT,
        learned_variance=True,
    )
    text = TextEncoderConfig(context_length=TOKENS, width=Z, depth=1, heads=4)
    config = DecoderConfig(image_size=SIZE, z_dim=Z, unet=unet, text=text, target="eps")
    return Decoder(config, ()).eval().requires_grad_(requires_grad=False)


def their_decoder() -> tuple[nn.Module, nn.Module]:
    """Return dalle2-pytorch's decoder and its U-Net."""
    import dalle2_pytorch

    unet = dalle2_pytorch.Unet(
        dim=WIDTH,
        image_embed_dim=Z,
        text_embed_dim=Z,
        cond_dim=CONTEXT,
        channels=3,
        dim_mults=MULTIPLIERS,
        num_resnet_blocks=DEPTH,
        attn_dim_head=HEAD,
        attn_heads=4,
        self_attn=(False, True, True, True),
        cond_on_text_encodings=True,
        max_text_len=TOKENS,
    )
    decoder = dalle2_pytorch.Decoder(
        unet=(unet,),
        image_sizes=(SIZE,),
        timesteps=1000,
        sample_timesteps=(STEPS,),
        learned_variance=(True,),
    )
    decoder.eval().requires_grad_(requires_grad=False)
    return decoder, decoder.unets[0]


def sides(n: int) -> dict[str, dict[str, Callable[[], Any]]]:
    """Return what makes one call, and one loop, on each side; and the parameters."""
    ours, (theirs, unet) = our_decoder(), their_decoder()
    x_t, t, z_i = torch.randn(n, 3, SIZE, SIZE), torch.full((n,), 500), torch.randn(n, Z)
    states = torch.randn(n, TOKENS, Z)
    prompts, keys = ["a red circle"] * n, [("a red circle", k) for k in range(n)]
    known = torch.ones(n, dtype=torch.bool)
    given = ours.projected(z_i, known, ours.tokenizer(prompts))
    return {
        "dalle2-pytorch": {
            "call": lambda: unet(x_t, t, image_embed=z_i, text_encodings=states),
            "loop": lambda: theirs.sample(
                image_embed=z_i,
                text_encodings=states,
                cond_scale=SCALE,
                one_unet_in_gpu_at_time=False,
            ),
            "parameters": lambda: _parameters(unet),
        },
        "ours": {
            "call": lambda: ours.from_projected(x_t, t, *given),
            "loop": lambda: ours.sample(z_i, prompts, keys, steps=STEPS, guidance_scale=SCALE),
            "parameters": lambda: _parameters(ours.unet),
        },
    }


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def in_turns(
    runs: dict[str, Callable[[], Tensor]], repeats: int, images: int
) -> dict[str, dict[str, float]]:
    """Return each side's median seconds for each picture of a call, after one to warm up."""
    turns: dict[str, list[tuple[float, float]]] = {side: [] for side in runs}
    for _ in range(repeats + 1):
        for side, run in runs.items():
            started, cpu = time.monotonic(), time.process_time()
            run()
            turns[side].append((time.monotonic() - started, time.process_time() - cpu))
    found = {}
    for side, measured in turns.items():
        wall, cpu_s = (statistics.median(column) for column in zip(*measured[1:], strict=True))
        found[side] = {"seconds": round(wall / images, 5), "cpu_seconds": round(cpu_s / images, 5)}
    return found


def main() -> None:
    """Measure one call, then the loop; print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--loops", type=int, default=2)
    parser.add_argument("--pictures", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    held, n = keep_freed_memory(), args.pictures
    torch.manual_seed(0)
    rows: dict[str, Any] = {}
    with torch.inference_mode():
        both = sides(n)
        asked = {"call": (args.repeats, n), "loop": (args.loops, n * STEPS * 2)}
        for what, (repeats, images) in asked.items():
            rows[what] = in_turns({side: run[what] for side, run in both.items()}, repeats, images)
            a, b = (rows[what][side]["seconds"] for side in both)
            rows[what]["times_faster"] = round(a / b, 2)
    document = {
        "machine": machine_facts(),
        "freed_memory_is_kept": held,
        "pictures": n,
        "parameters": {side: run["parameters"]() for side, run in both.items()},
        "seconds_per_network_image": rows,
    }
    args.out.parent.mkdir(exist_ok=True)
    args.out.write_text(json.dumps(document, indent=1) + "\n")
    sys.stdout.write(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
