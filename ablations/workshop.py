"""Where units are made: the model, the judge and the probes, each loaded when first needed.

A run that finds everything in the store loads none of them, and so never imports torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from dalle2eval.protocols import TextImageEmbedder, TextToImage
from dalle2eval.records import Prompt, SampleKey, Score, SelfTest


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """The judging network by name and SHA-256 of its weights; it need not be loaded."""

    name: str
    weights: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRoom:
    """Where arms are trained.

    Attributes:
        store: folder of the artefacts: embeddings are kept there, and what is unfinished.
        device: ``cpu`` or ``cuda``.
        tells: whether the loop's own progress goes to standard error.
    """

    store: Path
    device: str = "cpu"
    tells: bool = False


class Probe(Protocol):
    """What a run asks of a probe."""

    def score(
        self,
        images: NDArray[np.uint8],
        prompts: Sequence[Prompt],
        keys: Sequence[SampleKey],
    ) -> Sequence[Score]:
        """Judge images, one per prompt and key; prompts outside its question give no score."""

    def self_test(self) -> Sequence[SelfTest]:
        """Judge inputs with known truth."""


class Workshop:
    """The tools of a run.

    Args:
        open_model: loads the model.
        open_judge: loads the judge.
        probes: by name.
        training_room: where arms are trained; None where none is.
    """

    def __init__(
        self,
        *,
        open_model: Callable[[], TextToImage],
        open_judge: Callable[[], TextImageEmbedder],
        probes: Mapping[str, Probe],
        training_room: TrainingRoom | None = None,
    ) -> None:
        self._open_model, self._open_judge, self.probes = open_model, open_judge, probes
        self.training_room = training_room
        self._trained: tuple[str, TextToImage] | None = None

    @cached_property
    def model(self) -> TextToImage:
        """Return the model."""
        return self._open_model()

    def model_with(self, part: str, content: bytes) -> TextToImage:
        """Return the model with a trained part in the place of its own; the last one is kept."""
        from reference_model.packed import with_part

        known = hashlib.sha256(part.encode() + content).hexdigest()
        if self._trained is None or self._trained[0] != known:
            main: Any = getattr(self.model, "main", self.model)
            self._trained = (known, cast("TextToImage", with_part(main, part, content)))
        return self._trained[1]

    @cached_property
    def judge(self) -> TextImageEmbedder:
        """Return the judge."""
        return self._open_judge()
