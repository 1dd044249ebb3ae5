"""Random weights for a preset, so that tests run the whole stack in milliseconds.

python -m reference_model.training.random_weights tiny reference_model/weights/tiny
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from reference_model.checkpoint import save_part
from reference_model.clip import Clip
from reference_model.decoder import Decoder
from reference_model.manifest import Part
from reference_model.presets import preset
from reference_model.prior import DiffusionPrior
from reference_model.upsamplers import Upsampler


def write_random_weights(name: str, folder: Path, *, seed: int = 0) -> None:
    """Write every part of a preset with random weights; equal seeds give equal files."""
    torch.manual_seed(seed)
    stack = preset(name)
    eps_prior = type(stack.prior)(**{**asdict(stack.prior), "target": "eps"})
    networks = {
        "clip": ("clip", stack.clip, Clip(stack.clip, (518, 736))),
        "prior": ("prior", stack.prior, DiffusionPrior(stack.prior)),
        "prior-eps": ("prior", eps_prior, DiffusionPrior(eps_prior)),
        "decoder": ("decoder", stack.decoder, Decoder(stack.decoder, (518, 736))),
        "upsampler-256": ("upsampler", stack.upsampler_256, Upsampler(stack.upsampler_256)),
        "upsampler-1024": ("upsampler", stack.upsampler_1024, Upsampler(stack.upsampler_1024)),
    }
    for part, (kind, config, network) in networks.items():
        _randomise_zeros(network)
        vocabulary = (518, 736) if kind in {"clip", "decoder"} else ()
        described = Part(
            kind=kind, file="", sha256="", config=asdict(config), vocabulary=vocabulary
        )
        save_part(folder, part, described, network.state_dict(), weights_name=name)


def _randomise_zeros(network: nn.Module) -> None:
    """Give layers that start at zero small weights, or the output would not depend on the input."""
    for parameter in network.parameters():
        if parameter.ndim > 1 and not parameter.any():
            nn.init.normal_(parameter, std=0.05)


if __name__ == "__main__":
    write_random_weights(sys.argv[1], Path(sys.argv[2]))
