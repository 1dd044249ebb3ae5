"""Training of every part, from named recipes: `train`, or one for an ablation: `train_stage`."""

from __future__ import annotations

from reference_model.training.arms import train_stage
from reference_model.training.train import choose, train

__all__ = ["choose", "train", "train_stage"]
