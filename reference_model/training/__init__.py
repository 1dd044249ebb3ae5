"""Training of every part, from named recipes: `train`."""

from __future__ import annotations

from reference_model.training.train import train

__all__ = ["train"]
