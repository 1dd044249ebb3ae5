"""The one training loop: resumable, logged, with progress and ETA; every stage runs in it.

A stage gives a module and a loss of (module, step); the loop owns optimiser, warm-up, cosine decay,
gradient clipping, the moving average of weights, checkpoints and the log. Checkpoints are written
to a temporary name and renamed, so a kill leaves the last whole one; step k draws its data and
noise from k alone, so a resumed run equals an uninterrupted one.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from reference_model.efficient_unet import EfficientUnet
from reference_model.training.optimizer import optimizers
from reference_model.unet import Unet

Loss = Callable[[int], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopConfig:
    """How one stage is trained.

    Attributes:
        steps: optimiser steps in all; the learning rate decays to zero at the last.
        batch_size: images a step.
        log_every, checkpoint_every: in steps.
        ema_decay: of the moving average that is kept as the result (0 = none).
        bf16: whether matrix products run in bfloat16.
        matrix_learning_rate: Muon's for the matrices inside; 0 trains all by AdamW.
        compiled: whether U-Nets run through torch.compile (needs a C++ compiler; the first step
            takes a minute more, the others a quarter less).
    """

    steps: int
    batch_size: int
    learning_rate: float = 1e-3
    warmup_steps: int = 200
    weight_decay: float = 0.01
    beta2: float = 0.99
    gradient_clip: float = 1.0
    ema_decay: float = 0.999
    bf16: bool = True
    matrix_learning_rate: float = 0.0
    compiled: bool = False
    log_every: int = 50
    checkpoint_every: int = 250


def learning_rate_at(step: int, config: LoopConfig, peak: float | None = None) -> float:
    """Return the rate of a step: linear warm-up, then a half cosine to zero.

    Args:
        step: the one to come, from 0.
        config: gives the lengths, and the peak where none is given.
        peak: the largest rate.
    """
    peak = config.learning_rate if peak is None else peak
    if step < config.warmup_steps:
        return peak * (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(config.steps - config.warmup_steps, 1)
    return peak * 0.5 * (1 + math.cos(math.pi * done))


class Loop:
    """Trains one module and keeps its state in a folder.

    Args:
        module: what is trained, in place.
        loss: step -> scalar loss; must depend on the step alone.
        config: how.
        folder: holds ``state.safetensors``, with step and settings in it, and ``log.jsonl``.

    Raises:
        ValueError: the folder holds a training with other settings.
    """

    def __init__(self, module: nn.Module, loss: Loss, config: LoopConfig, folder: Path) -> None:
        self.module, self.loss, self.config, self.folder = module, loss, config, folder
        self.step, self.seconds = 0, 0.0
        _prepare(module, config)
        self.optimizers = optimizers(module, config)
        self.peaks = [optimizer.param_groups[0]["lr"] for optimizer in self.optimizers]
        self.ema = {name: value.detach().clone() for name, value in module.state_dict().items()}
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "state.safetensors").exists():
            self._resume()

    def run(self) -> dict[str, Tensor]:
        """Train to the last step and return the averaged weights."""
        # Zero-initialised branches start with denormal gradients, which a CPU computes at
        # a tenth of its speed.
        torch.set_flush_denormal(True)
        started, logged, total = time.monotonic(), self.step, 0.0
        first = self.step
        while self.step < self.config.steps:
            total += self._train_step()
            if self.step % self.config.log_every == 0 or self.step == self.config.steps:
                elapsed = time.monotonic() - started
                self._log(total / (self.step - logged), elapsed, self.step - first)
                logged, total = self.step, 0.0
            if self.step % self.config.checkpoint_every == 0 or self.step == self.config.steps:
                self._save(self.seconds + time.monotonic() - started)
        self.seconds += time.monotonic() - started
        return self.ema

    def _train_step(self) -> float:
        for optimizer, peak in zip(self.optimizers, self.peaks, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate_at(self.step, self.config, peak)
        self.module.train()
        device = next(self.module.parameters()).device
        with torch.autocast(device.type, torch.bfloat16, enabled=self.config.bf16):
            loss = self.loss(self.step)
        self.module.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.module.parameters(), self.config.gradient_clip)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        self._average()
        return float(loss.detach())

    @torch.no_grad()
    def _average(self) -> None:
        """Move the average; early steps weigh less, so the random start is soon forgotten."""
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        for name, value in self.module.state_dict().items():
            if value.is_floating_point():
                self.ema[name].lerp_(value, 1 - decay)
            else:
                self.ema[name].copy_(value)

    def _log(self, loss: float, elapsed: float, done: int) -> None:
        left = elapsed / done * (self.config.steps - self.step)
        rate = done * self.config.batch_size / elapsed
        line = {
            "step": self.step,
            "images": self.step * self.config.batch_size,
            "loss": round(loss, 6),
            "lr": learning_rate_at(self.step, self.config),
            "seconds": round(self.seconds + elapsed, 1),
            "images_per_s": round(rate, 1),
        }
        with (self.folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")
        sys.stderr.write(
            f"step {self.step}/{self.config.steps}  loss {loss:.4f}  {rate:.0f} images/s  "
            f"ETA {left / 60:.1f} min\n"
        )
        sys.stderr.flush()

    def _save(self, seconds: float) -> None:
        tensors = {f"ema.{k}": v.contiguous() for k, v in self.ema.items()}
        tensors |= {f"module.{k}": v.contiguous() for k, v in self.module.state_dict().items()}
        for number, optimizer in enumerate(self.optimizers):
            for index, state in optimizer.state_dict()["state"].items():
                name = f"optimizer.{number}.{index}"
                tensors |= {f"{name}.{k}": v.contiguous() for k, v in state.items()}
        # One file, one rename: step and weights can never be of two moments.
        progress = {"step": self.step, "seconds": round(seconds, 1), "config": asdict(self.config)}
        metadata = {"progress": json.dumps(progress)}
        # clone(): safetensors refuses tensors that share memory.
        whole = {k: v.clone() for k, v in tensors.items()}
        save_file(whole, self.folder / "state.tmp", metadata)
        _replace(self.folder / "state.tmp", self.folder / "state.safetensors")

    def _resume(self) -> None:
        with safe_open(self.folder / "state.safetensors", "pt") as file:
            progress: dict[str, Any] = json.loads(file.metadata()["progress"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        self._check_settings(progress["config"])
        parts: dict[str, dict[str, Tensor]] = {"ema": {}, "module": {}, "optimizer": {}}
        for name, value in tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = value
        self.module.load_state_dict(parts["module"])
        self.ema = {k: v.to(self.ema[k].device) for k, v in parts["ema"].items()}
        for number, optimizer in enumerate(self.optimizers):
            states = _states_of(parts["optimizer"], number)
            optimizer.load_state_dict({**optimizer.state_dict(), "state": states})
        self.step, self.seconds = progress["step"], progress["seconds"]

    def _check_settings(self, found: dict[str, Any]) -> None:
        """Refuse to go on with other settings: the result would be of no recipe."""
        ours = json.loads(json.dumps(asdict(self.config)))
        differing = sorted(k for k in {*ours, *found} if ours.get(k) != found.get(k))
        if differing:
            raise ValueError(
                f"{self.folder} holds a training with other settings ({', '.join(differing)}); "
                "choose another --work, or delete it to begin again"
            )


def _states_of(tensors: dict[str, Tensor], number: int) -> dict[int, dict[str, Tensor]]:
    """Return the state of one optimiser from "number.index.key" names."""
    states: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        owner, index, key = name.split(".")
        if int(owner) == number:
            states.setdefault(int(index), {})[key] = value
    return states


def _prepare(module: nn.Module, config: LoopConfig) -> None:
    """Lay convolutions out for speed and compile the U-Nets, in place."""
    if config.compiled:
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for part in module.modules():
            if isinstance(part, Unet | EfficientUnet):
                part.compile()


def _replace(source: Path, target: Path) -> None:
    with source.open("rb") as file:
        os.fsync(file.fileno())
    source.replace(target)
