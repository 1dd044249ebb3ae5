"""What a training goes on from: one file, written to a temporary name and renamed."""

from __future__ import annotations

import json
import os
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from torch import Tensor, nn

from reference_model.checkpoint import write_tensors
from reference_model.training.loop_config import LoopConfig
from reference_model.training.processes import laid_out_like, rank, wait_for_all, whole

STATE = "state.safetensors"


class Progress(NamedTuple):
    """How far a training is, the seconds that it took, and a hash of what is trained on what."""

    step: int
    seconds: float
    identity: str = ""


def save_state(
    folder: Path,
    progress: Progress,
    config: LoopConfig,
    module: nn.Module,
    ema: dict[str, Tensor],
    optimizers: list[torch.optim.Optimizer],
) -> None:
    """Write the state of a training; every process calls it and the first one writes."""
    tensors = {f"ema.{k}": whole(v) for k, v in ema.items()}
    tensors |= {f"module.{k}": whole(v) for k, v in module.state_dict().items()}
    for number, optimizer in enumerate(optimizers):
        for index, state in optimizer.state_dict()["state"].items():
            name = f"optimizer.{number}.{index}"
            tensors |= {f"{name}.{k}": whole(v) for k, v in state.items()}
    if rank() == 0:
        # One file, one rename: step and weights can never be of two moments.
        described = {**progress._asdict(), "config": asdict(config)}
        # clone(): safetensors refuses tensors that share memory.
        copies = {k: v.contiguous().clone() for k, v in tensors.items()}
        write_tensors(copies, folder / "state.tmp", {"progress": json.dumps(described)})
        replace_file(folder / "state.tmp", folder / STATE)
    wait_for_all()


def load_state(
    folder: Path,
    identity: str,
    config: LoopConfig,
    module: nn.Module,
    ema: dict[str, Tensor],
    optimizers: list[torch.optim.Optimizer],
) -> Progress:
    """Fill module, average and optimisers with a saved state, in place.

    Raises:
        ValueError: it is of a training with other settings, or of something else.
    """
    with safe_open(folder / STATE, "pt") as file:
        progress: dict[str, Any] = json.loads(file.metadata()["progress"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    _check_settings(folder, config, progress["config"])
    if progress.get("identity", identity) != identity:
        raise ValueError(
            f"{folder} holds a training of another architecture, seed or data; "
            "choose another --work, or delete it to begin again"
        )
    parts: dict[str, dict[str, Tensor]] = {"ema": {}, "module": {}, "optimizer": {}}
    for name, value in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = value
    own = module.state_dict()
    module.load_state_dict({k: laid_out_like(v, own[k]) for k, v in parts["module"].items()})
    for name, value in parts["ema"].items():
        ema[name] = laid_out_like(value.to(ema[name].device), ema[name])
    for number, optimizer in enumerate(optimizers):
        states = _states_of(parts["optimizer"], number, optimizer)
        optimizer.load_state_dict({**optimizer.state_dict(), "state": states})
    return Progress(progress["step"], progress["seconds"], identity)


def _check_settings(folder: Path, config: LoopConfig, found: dict[str, Any]) -> None:
    """Refuse to go on with other settings: the result would be of no recipe."""
    ours = json.loads(json.dumps(asdict(config)))
    # A setting that came later than the state had its default.
    later = {f.name: f.default for f in fields(config) if f.default is not MISSING}
    found = {**later, **found}
    differing = sorted(k for k in {*ours, *found} if ours.get(k) != found.get(k))
    if differing:
        raise ValueError(
            f"{folder} holds a training with other settings ({', '.join(differing)}); "
            "choose another --work, or delete it to begin again"
        )


def _states_of(
    tensors: dict[str, Tensor], number: int, optimizer: torch.optim.Optimizer
) -> dict[int, dict[str, Tensor]]:
    """Return the state of one optimiser from "number.index.key" names."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    states: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        owner, index, key = name.split(".")
        if int(owner) == number:
            own = parameters[int(index)]
            states.setdefault(int(index), {})[key] = laid_out_like(value, own)
    return states


def replace_file(source: Path, target: Path) -> None:
    """Rename a file over another, its bytes on the disk first."""
    with source.open("rb") as file:
        os.fsync(file.fileno())
    source.replace(target)
