"""Shows the averaged weights of a training to a judge now and then, among the finished parts.

The reference model knows no metrics: whoever starts a training hands a judge in.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from reference_model.checkpoint import save_part
from reference_model.manifest import Part
from reference_model.training.loop import Evaluate
from reference_model.training.recipes import StageRecipe


class Judge(Protocol):
    """Measures a part of weights on samples that no training sees."""

    def prepare(self, kind: str) -> None:
        """Get ready for parts of a kind, such as ``decoder``; raises where there is no metric."""

    def __call__(self, folder: Path, part: str) -> Mapping[str, Any]:
        """Return the numbers of a part of the weights in a folder."""


def evaluation(
    judge: Judge | None, recipe: StageRecipe, part: Part, *, weights: Path, work: Path
) -> Evaluate | None:
    """Return what the loop calls every ``loop.evaluate_every`` steps, if it is to be called.

    Args:
        judge: measures.
        recipe: of the stage.
        part: what is trained, as the manifest describes it.
        weights: folder of the finished parts.
        work: folder of the stage's checkpoints.

    Raises:
        ValueError: evaluations are asked for and there is no judge, or it has no metric for this.
    """
    if not recipe.loop.evaluate_every:
        return None
    if judge is None:
        raise ValueError("loop.evaluate_every needs a judge: train by dalle2eval, or set it 0")
    judge.prepare(part.kind)
    name = recipe.saved_as or recipe.part

    def evaluate(_step: int, tensors: dict[str, Tensor]) -> dict[str, Any]:
        folder = work / "evaluated"
        shutil.rmtree(folder, ignore_errors=True)
        if weights.exists():
            # Files of weights are only ever renamed over, never written to.
            shutil.copytree(weights, folder, copy_function=_linked)
        save_part(folder, name, part, tensors, weights_name=recipe.weights)
        found = dict(judge(folder, name))
        shutil.rmtree(folder)
        return found

    return evaluate


def _linked(source: str, target: str) -> None:
    """Link a file, or copy it where links cannot be made."""
    try:
        Path(target).hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)
