"""Evaluation and ablation of text-to-image models, with a complete reference DALL·E 2 inside.

    import dalle2eval
    folder = dalle2eval.run("quick", out="runs/x")

Each command of the command line is a function here; nothing heavy is imported before it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dalle2eval.api import plan, report, run, sample
    from dalle2eval.comparing import compare
    from dalle2eval.probing import probe
    from dalle2eval.scoring import score
    from dalle2eval.training import train

__all__ = ["compare", "plan", "probe", "report", "run", "sample", "score", "train"]


def __getattr__(name: str) -> Any:
    """Import the front door when one of its functions is first asked for (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'dalle2eval' has no attribute {name!r}")
    from dalle2eval import api, comparing, probing, scoring, training

    rooms = {"score": scoring, "compare": comparing, "probe": probing, "train": training}
    return getattr(rooms.get(name, api), name)
