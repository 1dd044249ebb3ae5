"""How one stage is trained, as frozen data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

RateSchedule = Literal["cosine", "constant"]
Parallel = Literal["ddp", "fsdp"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopConfig:
    """How one stage is trained.

    Attributes:
        steps: optimiser steps in all.
        batch_size: images a step, over all processes and passes.
        learning_rate_schedule: behind the warm-up, ``cosine`` decays to zero at the last step.
        gradient_clip: largest norm of the gradient; 0 leaves it as it is.
        log_every, checkpoint_every: in steps.
        evaluate_every: in steps; 0 = never.
        ema_decay: of the moving average that is kept as the result (0 = none).
        bf16: whether matrix products run in bfloat16.
        matrix_learning_rate: Muon's for the matrices inside; 0 trains all by AdamW.
        compiled: whether U-Nets run through torch.compile (needs a C++ compiler; the first step
            takes a minute more, the others a quarter less).
        accumulate: passes a step, whose gradients are added up; the result is that of one pass.
        activation_checkpointing: whether blocks are computed again in the backward pass instead of
            being kept: less memory, about a third more time.
        parallel: how several processes share the work: ``ddp`` (each holds all weights) or
            ``fsdp`` (FSDP2: weights, gradients and optimiser are shared out; not for a CLIP, whose
            temperature is a scalar).
        tensorboard: whether the log is written for TensorBoard too.
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
    learning_rate_schedule: RateSchedule = "cosine"
    accumulate: int = 1
    activation_checkpointing: bool = False
    parallel: Parallel = "ddp"
    evaluate_every: int = 0
    tensorboard: bool = False

    def __post_init__(self) -> None:
        """Refuse numbers that no training can have.

        Raises:
            ValueError: one is out of its range.
        """
        for name in ("batch_size", "accumulate", "log_every", "checkpoint_every"):
            _check(name, getattr(self, name), low=1)
        for name in ("steps", "warmup_steps", "evaluate_every", "gradient_clip", "weight_decay"):
            _check(name, getattr(self, name), low=0)
        _check("learning_rate", self.learning_rate, low=0)
        if self.parallel == "fsdp" and self.matrix_learning_rate:
            raise ValueError(
                "loop.matrix_learning_rate (Muon) needs whole matrices; with loop.parallel=fsdp "
                "it must be 0"
            )
        _check("ema_decay", self.ema_decay, low=0, high=1)
        for name, allowed in (
            ("learning_rate_schedule", get_args(RateSchedule)),
            ("parallel", get_args(Parallel)),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"loop.{name} is {getattr(self, name)!r}; allowed: {', '.join(allowed)}"
                )


def _check(name: str, value: float, *, low: float, high: float = math.inf) -> None:
    if not low <= value <= high or value == math.inf:
        ends = f"at least {low}" if high == math.inf else f"{low} to {high}"
        raise ValueError(f"loop.{name} is {value}; allowed: {ends}")


def learning_rate_at(step: int, config: LoopConfig, peak: float | None = None) -> float:
    """Return the rate of a step: linear warm-up, then constant or a half cosine to zero.

    Args:
        step: the one to come, from 0.
        config: gives the lengths, and the peak where none is given.
        peak: the largest rate.
    """
    peak = config.learning_rate if peak is None else peak
    if step < config.warmup_steps:
        return peak * (step + 1) / config.warmup_steps
    if config.learning_rate_schedule == "constant":
        return peak
    done = (step - config.warmup_steps) / max(config.steps - config.warmup_steps, 1)
    return peak * 0.5 * (1 + math.cos(math.pi * done))
