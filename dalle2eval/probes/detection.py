"""What the graders ask of an open-vocabulary detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

# GenEval's colours.
COLOURS = (
    "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white",
)  # fmt: skip
Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One object that a detector found: its class, how sure it is (0 to 1), and where."""

    label: str
    confidence: float
    box: Box


class Detector(Protocol):
    """Finds objects of any class that can be said in words."""

    @property
    def name(self) -> str:
        """Name and version, as printed beside its numbers."""

    @property
    def weights(self) -> str:
        """SHA-256 of its weights."""

    def detect(self, image: NDArray[np.uint8], classes: Sequence[str]) -> list[Found]:
        """Return what it finds of these classes in a picture uint8 [h, w, 3], surest first."""

    def colours_of(self, image: NDArray[np.uint8], found: Sequence[Found]) -> list[str]:
        """Return the colour of each found object, one of `COLOURS`."""
