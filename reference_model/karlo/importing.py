"""Karlo's weights into this project's own format: diffusers' folder, or the original files.

diffusers: prior/ decoder/ text_proj/ super_res_first/ super_res_last/ text_encoder/, each with a
config.json and safetensors. No released diffusers >= 0.38 loads this folder as a pipeline; here it
is read component by component. Original: three .ckpt, a _stats.th and CLIP's text tower as a plain
state dict; they are pickles, and are read by torch's restricted unpickler, which runs no code.
"""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from reference_model.checkpoint import save_part
from reference_model.karlo.config import (
    KarloDecoderConfig,
    KarloPriorConfig,
    KarloUpsamplerConfig,
)
from reference_model.karlo.decoder_names import projection_tensors
from reference_model.karlo.names import Source
from reference_model.karlo.prior_names import (
    prior_config,
    prior_tensors,
    text_config,
    text_tensors,
)
from reference_model.karlo.unet_names import unet_config, unet_tensors
from reference_model.manifest import CheckpointError, Part

HEAD_WIDTH = 64  # of every attention in Karlo and in CLIP's text tower
NORM_GROUPS = 32
CLIP_RANGE = 10.0  # Karlo's own bound of the normalised embedding; diffusers' folder says 5
IMAGE_SIZES = (64, 256)


class Converted(NamedTuple):
    """One part in our format, ready to be written."""

    kind: str
    config: Any
    tensors: dict[str, Tensor]


def import_folder(folder: Path, target: Path, name: str) -> list[str]:
    """Convert a folder of Karlo's weights and write it as weights of ours; return the parts.

    Args:
        folder: in diffusers' layout, or with Karlo's original files.
        target: folder of the new weights; must not exist.
        name: of the new weights.

    Raises:
        CheckpointError: the folder is neither, a file is missing, damaged, or would need code to be
            unpickled, a tensor is missing, unknown or of the wrong shape, or the target exists.
    """
    if target.exists():
        raise CheckpointError(f"{target} exists; choose another name or remove it")
    readers = _readers(folder)
    partial = target.with_name(f"{target.name}.partial")
    try:
        for part, read in readers.items():
            _write(part, read(folder), partial, name=name, origin=folder.name)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return list(readers)


def _write(part: str, converted: Converted, target: Path, *, name: str, origin: str) -> None:
    kind, config, tensors = converted
    described = Part(
        kind=kind, file="", sha256="", config=asdict(config), training={"imported_from": origin}
    )
    save_part(target, part, described, tensors, weights_name=name)


def _readers(folder: Path) -> dict[str, Callable[[Path], Converted]]:
    if (folder / "prior" / "config.json").is_file():
        return DIFFUSERS
    if any(folder.glob("*prior*.ckpt")):
        return ORIGINAL
    raise CheckpointError(
        f"{folder} has neither prior/config.json (diffusers' layout) nor a prior .ckpt (Karlo's)"
    )


# --- diffusers' layout -----------------------------------------------------------------------


def _text(folder: Path) -> Converted:
    source, given = _component(folder, "text_encoder")
    quick = given.get("hidden_act", "quick_gelu") == "quick_gelu"
    return convert_text(source, heads=given["num_attention_heads"], quick_gelu=quick)


def _prior(folder: Path) -> Converted:
    source, given = _component(folder, "prior")
    scheduler = _json(folder / "prior_scheduler" / "scheduler_config.json")
    statistics = (source.take("clip_mean")[0], source.take("clip_std")[0])
    return convert_prior(
        source,
        statistics,
        heads=given["num_attention_heads"],
        clip_range=scheduler["clip_sample_range"],
    )


def _decoder(folder: Path) -> Converted:
    source, given = _component(folder, "decoder")
    projections, _ = _component(folder, "text_proj")
    return convert_decoder(
        source,
        projections,
        image_size=given["sample_size"],
        head_channels=given["attention_head_dim"],
        norm_groups=given["norm_num_groups"],
    )


def _upsampler(folder: Path) -> Converted:
    first, given = _component(folder, "super_res_first")
    last, _ = _component(folder, "super_res_last")
    low = _json(folder / "decoder" / "config.json")["sample_size"]
    sizes = (low, given["sample_size"])
    return convert_upsampler(first, last, sizes=sizes, norm_groups=given["norm_num_groups"])


def _component(folder: Path, name: str) -> tuple[Source, dict[str, Any]]:
    """Return a component's tensors and its config."""
    path = folder / name
    shards = sorted(path.glob("*.safetensors"))
    # A folder may hold a half-precision copy beside the full one.
    shards = [p for p in shards if ".fp16." not in p.name] or shards
    if not shards:
        raise CheckpointError(f"{path} has no .safetensors file")
    tensors: dict[str, Tensor] = {}
    for shard in shards:
        try:
            tensors |= load_file(shard)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{shard} is damaged: {error}") from None
    tensors = {
        k: v
        for k, v in tensors.items()
        if not k.endswith(("position_ids", "causal_attention_mask"))
    }
    return Source(tensors, str(path)), _json(path / "config.json")


def _json(path: Path) -> dict[str, Any]:
    try:
        return _Given(json.loads(path.read_text()), path)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None


class _Given(dict[str, Any]):
    """A config whose missing field is an error that names the file."""

    def __init__(self, data: dict[str, Any], path: Path) -> None:
        super().__init__(data)
        self.path = path

    def __missing__(self, key: str) -> Any:
        raise CheckpointError(f"{self.path} lacks {key!r}")


# --- Karlo's original files ------------------------------------------------------------------


def _original_text(folder: Path) -> Converted:
    if (folder / "text_encoder").is_dir():
        return _text(folder)
    tensors = _unpickled(_only(folder, "ViT-L-14.pt"))
    text = {k: v for k, v in tensors.items() if not k.startswith(("visual.", "logit_scale"))}
    plain = {
        k: v
        for k, v in text.items()
        if k not in {"input_resolution", "context_length", "vocab_size"}
    }
    source = Source(plain, "ViT-L-14.pt")
    width = source.shape("positional_embedding")[1]
    return convert_text(source, heads=width // HEAD_WIDTH, quick_gelu=True)


def _original_prior(folder: Path) -> Converted:
    source = _checkpoint(_only(folder, "*prior*.ckpt"), "model.")
    statistics = _unpickled(_only(folder, "*_stats.th"))
    heads = source.shape("prd_emb")[-1] // HEAD_WIDTH
    return convert_prior(source, tuple(statistics), heads=heads, clip_range=CLIP_RANGE)


def _original_decoder(folder: Path) -> Converted:
    source = _checkpoint(_only(folder, "*decoder*.ckpt"), "model.")
    return convert_decoder(source, source, image_size=IMAGE_SIZES[0])


def _original_upsampler(folder: Path) -> Converted:
    path = _only(folder, "*sr*.ckpt")
    nets = [_checkpoint(path, prefix) for prefix in ("model_first_steps.", "model_last_step.")]
    return convert_upsampler(*nets, sizes=IMAGE_SIZES)


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise CheckpointError(f"{folder} has {len(found)} files {pattern}; exactly one is needed")
    return found[0]


def _checkpoint(path: Path, prefix: str) -> Source:
    """Return the tensors under a prefix of a Lightning checkpoint."""
    data = _unpickled(path)
    tensors = data.get("state_dict", data)
    chosen = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    return Source(chosen, f"{path} ({prefix}*)")


def _unpickled(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise CheckpointError(
            f"{path.name} is refused: it is damaged, or would run code when it is read (as a "
            f"TorchScript archive does); save its plain state dict ({type(error).__name__})"
        ) from None


# --- conversion ------------------------------------------------------------------------------


def convert_text(source: Source, *, heads: int, quick_gelu: bool) -> Converted:
    """Convert CLIP's text tower."""
    config = text_config(source, heads=heads, quick_gelu=quick_gelu)
    tensors = dict(text_tensors(source, config))
    source.finish()
    return Converted("karlo-text", config, tensors)


def convert_prior(
    source: Source, statistics: tuple[Tensor, ...], *, heads: int, clip_range: float
) -> Converted:
    """Convert the prior with its statistics (mean, deviation) of z_i."""
    network = prior_config(source, heads=heads)
    tensors = {f"network.{k}": v for k, v in prior_tensors(source, network)}
    mean, std = (value.float().flatten() for value in statistics)
    source.finish()
    config = KarloPriorConfig(network=network, clip_range=clip_range)
    return Converted(
        "karlo-prior", config, {**tensors, "network.z_mean": mean, "network.z_std": std}
    )


def convert_decoder(
    source: Source,
    projections: Source,
    *,
    image_size: int,
    head_channels: int = HEAD_WIDTH,
    norm_groups: int = NORM_GROUPS,
) -> Converted:
    """Convert the decoder; its projections stand in a dict of their own, or in the same."""
    unet = unet_config(source, head_channels=head_channels, norm_groups=norm_groups)
    own = "text_seq_proj.0.weight" in projections
    text = "text_seq_proj.0.weight" if own else "encoder_hidden_states_proj.weight"
    tokens = "clip_tok_proj.weight" if own else "clip_extra_context_tokens_proj.weight"
    rows, z_dim = projections.shape(tokens)
    config = KarloDecoderConfig(
        image_size=image_size,
        z_dim=z_dim,
        text_width=projections.shape(text)[1],
        unet=unet,
        num_z_tokens=rows // unet.context_width,
    )
    tensors = {f"unet.{k}": v for k, v in unet_tensors(source, unet)}
    tensors |= dict(projection_tensors(projections, config))
    source.finish()
    projections.finish()
    return Converted("karlo-decoder", config, tensors)


def convert_upsampler(
    first: Source, last: Source, *, sizes: tuple[int, int], norm_groups: int = NORM_GROUPS
) -> Converted:
    """Convert the upsampler's two networks, which have one shape."""
    unet = unet_config(first, head_channels=HEAD_WIDTH, norm_groups=norm_groups)
    tensors: Mapping[str, Tensor] = {
        f"{part}.{k}": v
        for part, source in (("first", first), ("last", last))
        for k, v in unet_tensors(source, unet)
    }
    first.finish()
    last.finish()
    config = KarloUpsamplerConfig(low_size=sizes[0], high_size=sizes[1], unet=unet)
    return Converted("karlo-upsampler", config, dict(tensors))


DIFFUSERS: dict[str, Callable[[Path], Converted]] = {
    "clip": _text, "prior": _prior, "decoder": _decoder, "upsampler-256": _upsampler
}  # fmt: skip
ORIGINAL: dict[str, Callable[[Path], Converted]] = {
    "clip": _original_text,
    "prior": _original_prior,
    "decoder": _original_decoder,
    "upsampler-256": _original_upsampler,
}
