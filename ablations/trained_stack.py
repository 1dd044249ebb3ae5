"""A stack of ours in which one part is still to be trained: it plans stages, and draws nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dalle2eval.protocols import NoiseKey, Stage
from reference_model.dalle2 import DALLE2

if TYPE_CHECKING:
    from reference_model.manifest import Manifest, Part


class StackWith:
    """A stack with a part that is known by what will make it.

    Args:
        manifest: of the weights whose other parts are used.
        name: of the part.
        part: as it is planned; its ``sha256`` stands for the weights that it will have.
    """

    def __init__(self, manifest: Manifest, name: str, part: Part) -> None:
        self.part_name, self._identity = name, part.identity
        self._stack = DALLE2(replace(manifest, parts={**manifest.parts, name: part}))

    def plan_stages(self, settings: Mapping[str, Any], size: int) -> Sequence[Stage]:
        """Return the chain of stages that leads to images of ``size`` pixels."""
        return self._stack.plan_stages(settings, size)

    def check_samples(
        self, stage: Any, prompts: Sequence[str], noise_keys: Sequence[NoiseKey]
    ) -> None:
        """Raise ValueError where a stage is known not to be able to draw one of these prompts."""
        self._stack.check_samples(stage, prompts, noise_keys)

    def reads(self, stage: Stage) -> bool:
        """Say whether a stage's pictures depend on the part."""
        return self._identity in stage.weights
