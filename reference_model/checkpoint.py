"""Weights on disk: safetensors, half precision, checked by hash; nothing is ever unpickled."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from reference_model.config import from_json
from reference_model.manifest import (
    FORMAT,
    CheckpointError,
    Manifest,
    Part,
    file_sha256,
    read_manifest,
    verify,
)


def load_part(
    manifest: Manifest,
    name: str,
    build: Callable[..., nn.Module],
    config_type: type,
    *,
    device: torch.device | str = "cpu",
) -> nn.Module:
    """Build a part's network and load its weights in float32, ready for inference.

    Args:
        manifest: of the weights.
        name: of the part.
        build: called with (config) or (config, vocabulary).
        config_type: dataclass of the part's config.
        device: where the network goes.

    Raises:
        CheckpointError: the file is missing, truncated or altered, or does not fit its config.
    """
    verify(manifest, name)
    part = manifest.part(name)
    path = manifest.path(name)
    try:
        config = from_json(config_type, part.config)
        network = build(config, part.vocabulary) if part.vocabulary else build(config)
        load_tensors(network, path)
    except (SafetensorError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path} does not fit its manifest: {str(error)[:300]}") from None
    return network.to(device).eval().requires_grad_(requires_grad=False)


def load_tensors(network: nn.Module, path: Path) -> None:
    """Fill a network from a file of half-precision tensors.

    Raises:
        SafetensorError: the file is damaged.
        RuntimeError: its tensors are not the network's.
    """
    network.load_state_dict({k: _full(v) for k, v in load_file(path).items()})


def write_tensors(
    tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Write a safetensors file that others may read: the library's own is its owner's alone."""
    save_file(tensors, path, metadata)
    path.chmod(0o644)


def save_part(
    folder: Path,
    name: str,
    part: Part,
    tensors: dict[str, Tensor],
    *,
    weights_name: str,
    exact: bool = False,
) -> Part:
    """Write a part in half precision and enter it into the folder's manifest, atomically.

    Args:
        folder: of the weights; made when missing.
        name: of the part.
        part: its description; file and sha256 are filled in here.
        tensors: state dict.
        weights_name: name of the set, for a new manifest.
        exact: keep the tensors as they are: they are a measurement, not weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = f"{name}.safetensors"
    temporary = folder / f"{file}.tmp"
    keep = _whole if exact else _half
    write_tensors({k: keep(v) for k, v in tensors.items()}, temporary)
    part = replace(part, file=file, sha256=file_sha256(temporary))
    temporary.replace(folder / file)
    parts: dict[str, Any] = {}
    if (folder / "manifest.json").exists():
        parts = {key: asdict(value) for key, value in read_manifest(folder).parts.items()}
    parts[name] = asdict(part)
    _write_atomically(
        folder / "manifest.json",
        json.dumps({"format": FORMAT, "name": weights_name, "parts": parts}) + "\n",
    )
    return part


def _whole(value: Tensor) -> Tensor:
    return value.detach().cpu().contiguous().clone()


def _half(value: Tensor) -> Tensor:
    value = _whole(value)
    return value.half() if value.is_floating_point() else value


def _full(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


def _write_atomically(path: Path, text: str) -> None:
    temporary = path.with_suffix(".tmp")
    with temporary.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
