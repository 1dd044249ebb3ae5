"""Optimisers: AdamW for everything, or Muon for the matrices inside and AdamW for the rest.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) replaces the momentum of
a weight matrix by the nearest orthogonal matrix. On this decoder it halves the images that a given
loss takes (docs/notebook.md), which is what two CPU cores lack most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from reference_model.training.loop_config import LoopConfig

EDGES = ("stem", "out")  # first and last layers stay with AdamW, as Muon's author advises
MUON_MOMENTUM = 0.95


def optimizers(module: nn.Module, config: LoopConfig) -> list[torch.optim.Optimizer]:
    """Return the optimisers of a module; together they hold every parameter once.

    Raises:
        RuntimeError: Muon is asked for and this torch (< 2.9) has none.
    """
    adamw = {"lr": config.learning_rate, "betas": (0.9, config.beta2)}
    if not config.matrix_learning_rate:
        parameters = module.parameters()
        return [torch.optim.AdamW(parameters, weight_decay=config.weight_decay, **adamw)]
    if not hasattr(torch.optim, "Muon"):
        raise RuntimeError(f"this recipe needs torch >= 2.9 (Muon), not {torch.__version__}")
    inside = inner_matrices(module)
    names = {id(weight) for weight in inside}
    rest = [parameter for parameter in module.parameters() if id(parameter) not in names]
    return [
        torch.optim.AdamW(rest, weight_decay=config.weight_decay, **adamw),
        _muon(inside, config),
    ]


def inner_matrices(module: nn.Module) -> list[nn.Parameter]:
    """Return the weights of linear and convolutional layers but the first and the last."""
    return [
        layer.weight
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d) and name.rpartition(".")[2] not in EDGES
    ]


def _muon(weights: list[nn.Parameter], config: LoopConfig) -> torch.optim.Optimizer:
    """Return torch's Muon over 2-D views of the weights, which share their memory."""
    views = [nn.Parameter(_matrix(weight.detach())) for weight in weights]
    muon = torch.optim.Muon(
        views,
        lr=config.matrix_learning_rate,
        weight_decay=config.weight_decay,
        momentum=MUON_MOMENTUM,
        adjust_lr_fn="match_rms_adamw",
    )

    @torch.no_grad()
    def take_gradients(*_: object) -> None:
        for view, weight in zip(views, weights, strict=True):
            if weight.grad is not None:
                view.grad = _matrix(torch.empty_like(weight).copy_(weight.grad))

    muon.register_step_pre_hook(take_gradients)
    return muon


def _matrix(weight: Tensor) -> Tensor:
    """Return a weight [out, ...], contiguous or channels-last, as [out, rest] without a copy."""
    rows = weight if weight.is_contiguous() else weight.movedim(1, -1)
    return rows.view(len(weight), -1)
