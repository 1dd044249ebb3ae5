"""The prior's and the text tower's tensors in diffusers' (transformers') naming and in Karlo's."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from reference_model.config import PriorConfig
from reference_model.karlo.config import KarloTextConfig
from reference_model.karlo.names import Source
from reference_model.karlo.unet_names import split_heads

# ours, diffusers, Karlo
PRIOR = (
    ("time.0", "time_embedding.linear_1", "time_embed.0"),
    ("time.2", "time_embedding.linear_2", "time_embed.2"),
    ("z_i_in", "proj_in", "clip_img_proj"),
    ("states_in", "encoder_hidden_states_proj", "text_enc_proj"),
    ("transformer.final_norm", "norm_out", "final_ln"),
    ("out", "proj_to_clip_embeddings", "out_proj"),
)
BLOCK = (
    ("norm_1", "norm1", "ln_1"),
    ("norm_2", "norm3", "ln_2"),
    ("attention.out", "attn1.to_out.0", "attn.c_proj"),
    ("mlp.0", "ff.net.0.proj", "mlp.c_fc"),
    ("mlp.2", "ff.net.2", "mlp.c_proj"),
)
TEXT_BLOCK = (
    ("ln_1", "layer_norm1"),
    ("ln_2", "layer_norm2"),
    ("attn.out_proj", "self_attn.out_proj"),
    ("mlp.c_fc", "mlp.fc1"),
    ("mlp.c_proj", "mlp.fc2"),
)


def prior_config(source: Source, *, heads: int) -> PriorConfig:
    """Read the prior's shape from its tensors; heads leave no trace in them."""
    theirs = "proj_in.weight" in source
    width, z_dim = source.shape("proj_in.weight" if theirs else "clip_img_proj.weight")
    states = "encoder_hidden_states_proj.weight" if theirs else "text_enc_proj.weight"
    block = (
        "transformer_blocks.{}.norm1.weight" if theirs else "transformer.resblocks.{}.ln_1.weight"
    )
    return PriorConfig(
        z_dim=z_dim,
        text_width=source.shape(states)[1],
        context_length=source.shape("positional_embedding")[1] - 4,
        width=width,
        depth=source.count(block),
        heads=heads,
    )


def prior_tensors(source: Source, config: PriorConfig) -> Iterator[tuple[str, Tensor]]:
    """Yield our names and tensors of a prior in either naming, but for its statistics.

    Ours multiplies z_t by sqrt(d) on its way in and has learned null conditions; the first is
    divided out of the weight, the second are zero and never used.
    """
    theirs = "proj_in.weight" in source
    for ours, *names in PRIOR:
        yield from source.layer(ours, names[0 if theirs else 1])
    z_t = "embedding_proj" if theirs else "text_emb_proj"
    yield "z_t_in.weight", source.take(f"{z_t}.weight") / config.z_dim**0.5
    yield "z_t_in.bias", source.take(f"{z_t}.bias")
    yield "positions", source.take("positional_embedding")[0]
    query = source.take("prd_embedding" if theirs else "prd_emb")[0, 0]
    yield "query", query
    yield "null_state", torch.zeros_like(query)
    yield "null_z_t", torch.zeros_like(query)
    for k in range(config.depth):
        name = f"transformer_blocks.{k}" if theirs else f"transformer.resblocks.{k}"
        for ours, *names in BLOCK:
            layer = f"{name}.{names[0 if theirs else 1]}"
            yield from source.layer(f"transformer.blocks.{k}.{ours}", layer)
        for part in ("weight", "bias"):
            if theirs:
                rows = torch.cat([source.take(f"{name}.attn1.to_{x}.{part}") for x in "qkv"])
            else:
                rows = split_heads(source.take(f"{name}.attn.c_qkv.{part}"), config.heads, 3)
            yield f"transformer.blocks.{k}.attention.qkv.{part}", rows


def text_config(source: Source, *, heads: int, quick_gelu: bool) -> KarloTextConfig:
    """Read the text tower's shape from its tensors."""
    theirs = "text_projection.weight" in source
    positions = (
        "text_model.embeddings.position_embedding.weight" if theirs else "positional_embedding"
    )
    context_length, width = source.shape(positions)
    block = (
        "text_model.encoder.layers.{}.layer_norm1.weight"
        if theirs
        else "transformer.resblocks.{}.ln_1.weight"
    )
    projection = source.shape("text_projection.weight" if theirs else "text_projection")
    return KarloTextConfig(
        embed_dim=projection[0] if theirs else projection[1],
        context_length=context_length,
        width=width,
        depth=source.count(block),
        heads=heads,
        quick_gelu=quick_gelu,
    )


def text_tensors(source: Source, config: KarloTextConfig) -> Iterator[tuple[str, Tensor]]:
    """Yield our names and tensors of CLIP's text tower, transformers' naming or OpenAI's.

    Our first row is padding, which no state of a real token ever sees.
    """
    theirs = "text_projection.weight" in source
    root = "text_model.embeddings"
    rows = source.take(f"{root}.token_embedding.weight" if theirs else "token_embedding.weight")
    yield "tower.token_embedding.weight", torch.cat([torch.zeros_like(rows[:1]), rows])
    positions = f"{root}.position_embedding.weight" if theirs else "positional_embedding"
    yield "tower.positional_embedding", source.take(positions)
    norm = "text_model.final_layer_norm" if theirs else "ln_final"
    yield from source.layer("tower.ln_final", norm)
    projection = source.take("text_projection.weight" if theirs else "text_projection")
    yield "tower.text_projection", projection.T if theirs else projection
    for k in range(config.depth):
        yield from _text_block(source, k, theirs=theirs)


def _text_block(source: Source, k: int, *, theirs: bool) -> Iterator[tuple[str, Tensor]]:
    ours = f"tower.transformer.resblocks.{k}"
    name = f"text_model.encoder.layers.{k}" if theirs else f"transformer.resblocks.{k}"
    for mine, other in TEXT_BLOCK:
        yield from source.layer(f"{ours}.{mine}", f"{name}.{other if theirs else mine}")
    for part in ("weight", "bias"):
        if theirs:
            layers = [f"{name}.self_attn.{x}_proj.{part}" for x in "qkv"]
            yield f"{ours}.attn.in_proj_{part}", torch.cat([source.take(layer) for layer in layers])
        else:
            yield f"{ours}.attn.in_proj_{part}", source.take(f"{name}.attn.in_proj_{part}")
