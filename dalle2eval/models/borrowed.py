"""A stage of somebody else's model, with what its borrower has to know of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dalle2eval.protocols import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class BorrowedStage:
    """All that the stage is, and its owner.

    Attributes:
        own: the stage as its model planned it.
        owner: name of the model that it belongs to.
        bound_to: SHA-256 of its weights together with what else its work depends on; its own
            weights when empty.
    """

    own: Stage
    owner: str
    bound_to: str = ""

    @property
    def name(self) -> str:
        """Name of the stage."""
        return self.own.name

    @property
    def settings(self) -> Mapping[str, Any]:
        """Only the settings that change its output."""
        return self.own.settings

    @property
    def weights(self) -> str:
        """SHA-256 of what it reads."""
        return self.bound_to or self.own.weights

    @property
    def version(self) -> int:
        """Version of its code."""
        return self.own.version

    @property
    def forward_passes(self) -> int:
        """Network calls for one batch."""
        return self.own.forward_passes

    @property
    def seconds_per_image(self) -> float:
        """Yardstick for the first ETA."""
        return self.own.seconds_per_image

    @property
    def image_size(self) -> int | None:
        """Side of its images; None when it returns vectors."""
        return self.own.image_size
