"""The ADM U-Net's tensors in diffusers' naming and in Karlo's own (guided-diffusion's).

Both are walked in the order of our own network, so that a block's place decides its names. Karlo's
fused projections are head-major (head 0: q, k, v; head 1: ...), ours are q, k, v one after another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from reference_model.config import UnetConfig
from reference_model.karlo.names import Source

OURS = ("norm_1", "conv_1", "emb", "norm_2", "conv_2", "skip")
DIFFUSERS = ("norm1", "conv1", "time_emb_proj", "norm2", "conv2", "conv_shortcut")
KARLO = (
    "in_layers.0", "in_layers.2", "emb_layers.1", "out_layers.0", "out_layers.3", "skip_connection"
)  # fmt: skip
EDGES = {
    "stem": ("conv_in", "input_blocks.0.0"),
    "time.0": ("time_embedding.linear_1", "time_embed.0"),
    "time.2": ("time_embedding.linear_2", "time_embed.2"),
    "out_norm": ("conv_norm_out", "out.0"),
    "out": ("conv_out", "out.2"),
}


class Place(NamedTuple):
    """One of our levels and what the others call its residual block and its attention."""

    ours: str
    block: str
    attention: str | None


def is_diffusers(source: Source) -> bool:
    """Return whether a U-Net's state dict is in diffusers' naming."""
    return "conv_in.weight" in source


def unet_config(source: Source, *, head_channels: int, norm_groups: int) -> UnetConfig:
    """Read a U-Net's shape from its tensors; heads and norm groups leave no trace in them."""
    theirs = is_diffusers(source)
    block = (
        "down_blocks.{}.resnets.0.conv1.weight"
        if theirs
        else "input_blocks.{}.0.in_layers.2.weight"
    )
    channels, inputs = source.shape("conv_in.weight" if theirs else "input_blocks.0.0.weight")[:2]
    outputs = source.shape("conv_out.weight" if theirs else "out.2.weight")[0]
    widths = _widths(source, block, first=0 if theirs else 1)
    levels = sorted(set(widths))
    if theirs:
        depth = source.count("down_blocks.0.resnets.{}.conv1.weight")
    else:
        depth = (len(widths) + 1) // len(levels) - 1  # a halving block after all levels but one
    config = UnetConfig(
        patch=1,
        channels=channels,
        multipliers=tuple(width // channels for width in levels),
        depth=depth,
        head_channels=head_channels,
        norm_groups=norm_groups,
        condition_channels=inputs - 3,
        learned_variance=outputs > 3,  # noqa: PLR2004
        scale_shift=_rows(source, theirs=theirs) == 2 * channels,
    )
    return _with_attention(source, config, theirs=theirs)


def _widths(source: Source, block: str, *, first: int) -> list[int]:
    widths, k = [], first
    while block.format(k) in source:
        widths.append(source.shape(block.format(k))[0])
        k += 1
    return widths


def _rows(source: Source, *, theirs: bool) -> int:
    name = "down_blocks.0.resnets.0.time_emb_proj" if theirs else "input_blocks.1.0.emb_layers.1"
    return source.shape(f"{name}.weight")[0]


def _with_attention(source: Source, config: UnetConfig, *, theirs: bool) -> UnetConfig:
    """Return the config with its attention levels, and the vector that such a decoder takes."""
    from dataclasses import replace

    everywhere = replace(config, attention_levels=tuple(range(len(config.multipliers))))
    levels, context = [], 0
    for level in everywhere.attention_levels:
        place = next(
            p for p in _down(everywhere, theirs=theirs) if p.ours == _first_of(config, level)
        )
        name = "add_k_proj" if theirs else "encoder_kv"
        if f"{place.attention}.{name}.weight" in source:
            levels.append(level)
            context = source.shape(f"{place.attention}.{name}.weight")[1]
    if not levels:
        return config
    emb_width = source.shape("time_embedding.linear_1.weight" if theirs else "time_embed.0.weight")[
        0
    ]
    return replace(
        config,
        attention_levels=tuple(levels),
        context_width=context,
        vector_width=emb_width,
        project_vector=False,
    )


def _first_of(config: UnetConfig, level: int) -> str:
    return f"down.{level * (config.depth + 1)}"


def unet_tensors(source: Source, config: UnetConfig) -> Iterator[tuple[str, Tensor]]:
    """Yield our names and tensors of a U-Net in either naming.

    Raises:
        CheckpointError: a tensor is missing.
    """
    theirs = is_diffusers(source)
    for ours, names in EDGES.items():
        yield from source.layer(ours, names[0 if theirs else 1])
    for place in [
        *_down(config, theirs=theirs), *_middle(config, theirs=theirs), *_up(config, theirs=theirs)
    ]:  # fmt: skip
        for ours, name in zip(OURS, DIFFUSERS if theirs else KARLO, strict=True):
            if ours != "skip" or f"{place.block}.{name}.weight" in source:
                yield from source.layer(f"{place.ours}.block.{ours}", f"{place.block}.{name}")
        if place.attention is not None:
            convert = _diffusers_attention if theirs else _karlo_attention
            for name, tensor in convert(source, place.attention, config):
                yield f"{place.ours}.attention.{name}", tensor


def _down(config: UnetConfig, *, theirs: bool) -> list[Place]:
    places: list[Place] = []
    for level in range(len(config.multipliers)):
        has = level in config.attention_levels
        for k in range(config.depth):
            n = len(places)
            block = f"down_blocks.{level}.resnets.{k}" if theirs else f"input_blocks.{n + 1}.0"
            attention = (
                f"down_blocks.{level}.attentions.{k}" if theirs else f"input_blocks.{n + 1}.1"
            )
            places.append(Place(f"down.{n}", block, attention if has else None))
        if level < len(config.multipliers) - 1:
            n = len(places)
            halve = f"down_blocks.{level}.downsamplers.0" if theirs else f"input_blocks.{n + 1}.0"
            places.append(Place(f"down.{n}", halve, None))
    return places


def _middle(config: UnetConfig, *, theirs: bool) -> list[Place]:
    has = len(config.multipliers) - 1 in config.attention_levels
    attention = "mid_block.attentions.0" if theirs else "middle_block.1"
    first, second = (
        ("mid_block.resnets.0", "mid_block.resnets.1")
        if theirs
        else ("middle_block.0", f"middle_block.{2 if has else 1}")
    )
    return [Place("middle.0", first, attention if has else None), Place("middle.1", second, None)]


def _up(config: UnetConfig, *, theirs: bool) -> list[Place]:
    places: list[Place] = []
    entry = 0
    for u, level in enumerate(reversed(range(len(config.multipliers)))):
        has = level in config.attention_levels
        for k in range(config.depth + 1):
            block = f"up_blocks.{u}.resnets.{k}" if theirs else f"output_blocks.{entry}.0"
            attention = f"up_blocks.{u}.attentions.{k}" if theirs else f"output_blocks.{entry}.1"
            places.append(Place(f"up.{len(places)}", block, attention if has else None))
            entry += 1
        if level > 0:
            last = f"output_blocks.{entry - 1}.{2 if has else 1}"
            double = f"up_blocks.{u}.upsamplers.0" if theirs else last
            places.append(Place(f"up.{len(places)}", double, None))
    return places


def _diffusers_attention(source: Source, name: str, _: UnetConfig) -> Iterator[tuple[str, Tensor]]:
    yield from source.layer("norm", f"{name}.group_norm")
    yield from source.layer("out", f"{name}.to_out.0")
    fused = {"qkv": ("to_q", "to_k", "to_v"), "context_kv": ("add_k_proj", "add_v_proj")}
    for ours, theirs in fused.items():
        for part in ("weight", "bias"):
            rows = [source.take(f"{name}.{layer}.{part}") for layer in theirs]
            yield f"{ours}.{part}", torch.cat(rows)


def _karlo_attention(source: Source, name: str, config: UnetConfig) -> Iterator[tuple[str, Tensor]]:
    yield from source.layer("norm", f"{name}.norm")
    for part in ("weight", "bias"):
        # A convolution of kernel 1 over the flattened grid is a linear layer.
        out = source.take(f"{name}.proj_out.{part}")
        yield f"out.{part}", out.flatten(1) if part == "weight" else out
        for ours, theirs, parts in (("qkv", "qkv", 3), ("context_kv", "encoder_kv", 2)):
            rows = source.take(f"{name}.{theirs}.{part}")
            heads = len(rows) // parts // config.head_channels
            split = split_heads(rows, heads, parts)
            yield f"{ours}.{part}", split.flatten(1) if part == "weight" else split


def split_heads(rows: Tensor, heads: int, parts: int) -> Tensor:
    """Turn head-major rows (head 0: q, k, v; ...) into part-major ones (all q, all k, all v)."""
    return rows.view(heads, parts, -1, *rows.shape[1:]).transpose(0, 1).reshape(rows.shape)
