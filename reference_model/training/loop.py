"""The one training loop: resumable, logged, with progress and ETA; every stage runs in it.

A stage gives a module and a loss of the rows to compute; the loop owns optimiser, learning rate,
accumulation, gradient clipping, the moving average of weights, checkpoints and the log. Step k
draws its data and noise from k alone, so a resumed run equals an uninterrupted one.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from reference_model.efficient_unet import EfficientUnet
from reference_model.training.loop_config import LoopConfig, learning_rate_at
from reference_model.training.optimizer import optimizers
from reference_model.training.processes import (
    average,
    compute_again,
    rank,
    spread,
    synchronised,
    wait_for_all,
    whole,
    world,
)
from reference_model.training.rows import Rows, shared_out
from reference_model.training.state import STATE, Progress, load_state, save_state
from reference_model.unet import Unet

Loss = Callable[[Rows], Tensor]
Evaluate = Callable[[int, dict[str, Tensor]], dict[str, Any]]


class Objective(nn.Module):
    """A module with its loss as the forward pass, which is what DDP and FSDP2 wrap."""

    def __init__(self, module: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.module, self.loss = module, loss

    def forward(self, rows: Rows) -> Tensor:
        """Return the mean loss of the rows."""
        return self.loss(rows)


class Loop:
    """Trains one module and keeps its state in a folder.

    Args:
        module: what is trained, in place.
        loss: rows -> scalar mean over them; must depend on the rows alone.
        config: how.
        folder: holds ``state.safetensors``, with step and settings in it, and ``log.jsonl``.
        evaluate: (step, averaged weights) -> numbers for the log; called by the first process.
        identity: of what is trained on what; a state of another one is refused.

    Raises:
        ValueError: the folder holds a training with other settings, or the settings do not fit the
            number of processes.
    """

    def __init__(
        self,
        module: nn.Module,
        loss: Loss,
        config: LoopConfig,
        folder: Path,
        evaluate: Evaluate | None = None,
        *,
        identity: str = "",
    ) -> None:
        self.identity = identity
        self.module, self.config, self.folder, self.evaluate = module, config, folder, evaluate
        self.step, self.seconds = 0, 0.0
        self._passes(0)
        _prepare(module, config)
        self.objective = spread(Objective(module, loss), config.parallel)
        self.optimizers = optimizers(module, config)
        self.peaks = [optimizer.param_groups[0]["lr"] for optimizer in self.optimizers]
        self.ema = {name: value.detach().clone() for name, value in module.state_dict().items()}
        folder.mkdir(parents=True, exist_ok=True)
        self._board = _open_board(folder, config)
        if (folder / STATE).exists():
            state = load_state(folder, identity, config, module, self.ema, self.optimizers)
            self.step, self.seconds = state.step, state.seconds

    def run(self) -> dict[str, Tensor]:
        """Train to the last step and return the averaged weights."""
        # Zero-initialised branches start with denormal gradients, which a CPU computes at
        # a tenth of its speed.
        torch.set_flush_denormal(True)
        started, logged, total = time.monotonic(), self.step, 0.0
        first = self.step
        while self.step < self.config.steps:
            total += self._train_step()
            if self._due(self.config.log_every):
                elapsed = time.monotonic() - started
                self._log(total / (self.step - logged), elapsed, self.step - first)
                logged, total = self.step, 0.0
            if self._due(self.config.checkpoint_every):
                self._save(self.seconds + time.monotonic() - started)
            if self.config.evaluate_every and self._due(self.config.evaluate_every):
                self._evaluate()
        self.seconds += time.monotonic() - started
        return self._averaged()

    def _due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.config.steps

    def _passes(self, step: int) -> list[Rows]:
        config = self.config
        return shared_out(
            step, config.batch_size, passes=config.accumulate, rank=rank(), world=world()
        )

    def _train_step(self) -> float:
        for optimizer, peak in zip(self.optimizers, self.peaks, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate_at(self.step, self.config, peak)
        self.module.train()
        self.module.zero_grad(set_to_none=True)
        total = self._add_gradients()
        if self.config.gradient_clip:
            nn.utils.clip_grad_norm_(self.module.parameters(), self.config.gradient_clip)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        self._average()
        return average(total)

    def _add_gradients(self) -> Tensor:
        """Add the gradients of all passes and return the mean loss of this process's rows."""
        device = next(self.module.parameters()).device
        passes = self._passes(self.step)
        total = torch.zeros((), device=device)
        for number, rows in enumerate(passes, 1):
            with synchronised(self.objective, last=number == len(passes)):
                with torch.autocast(device.type, torch.bfloat16, enabled=self.config.bf16):
                    loss = self.objective(rows)
                (loss / len(passes)).backward()
            total += loss.detach() / len(passes)
        return total

    @torch.no_grad()
    def _average(self) -> None:
        """Move the average; early steps weigh less, so the random start is soon forgotten."""
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        for name, value in self.module.state_dict().items():
            if value.is_floating_point():
                self.ema[name].lerp_(value, 1 - decay)
            else:
                self.ema[name].copy_(value)

    def _averaged(self) -> dict[str, Tensor]:
        return {name: whole(value) for name, value in self.ema.items()}

    def _save(self, seconds: float) -> None:
        progress = Progress(self.step, round(seconds, 1), self.identity)
        save_state(self.folder, progress, self.config, self.module, self.ema, self.optimizers)

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
        self._write("log.jsonl", line)
        if rank() == 0:
            sys.stderr.write(
                f"step {self.step}/{self.config.steps}  loss {loss:.4f}  {rate:.0f} images/s  "
                f"ETA {left / 60:.1f} min\n"
            )
            sys.stderr.flush()

    def _evaluate(self) -> None:
        tensors = self._averaged()
        if self.evaluate is not None and rank() == 0:
            numbers = self.evaluate(self.step, tensors)
            self._write("evaluations.jsonl", {"step": self.step, **numbers})
        wait_for_all()

    def _write(self, name: str, line: dict[str, Any]) -> None:
        """Append a line to a log of the first process."""
        if rank() != 0:
            return
        with (self.folder / name).open("a") as log:
            log.write(json.dumps(line) + "\n")
        if self._board is not None:
            for key, value in line.items():
                if isinstance(value, int | float) and key != "step":
                    self._board.add_scalar(f"{name.partition('.')[0]}/{key}", value, line["step"])
            self._board.flush()


def _prepare(module: nn.Module, config: LoopConfig) -> None:
    """Lay convolutions out for speed, compile the U-Nets, and save memory, in place."""
    if config.activation_checkpointing:
        compute_again(module)
    if config.compiled:
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for part in module.modules():
            if isinstance(part, Unet | EfficientUnet):
                part.compile()


def _open_board(folder: Path, config: LoopConfig) -> Any:
    """Return a writer for TensorBoard, where it is asked for.

    Raises:
        ValueError: it is not installed.
    """
    if not config.tensorboard or rank() != 0:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError("loop.tensorboard needs the package tensorboard; install it") from None
    return SummaryWriter(folder / "tensorboard")
