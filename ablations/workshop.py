"""Where units are made: the model, the judge and the probes, each loaded when first needed.

A run that finds everything in the store loads none of them, and so never imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dalle2eval.protocols import TextImageEmbedder, TextToImage
from dalle2eval.records import Prompt, SampleKey, Score, SelfTest


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """The judging network by name and SHA-256 of its weights; it need not be loaded."""

    name: str
    weights: str


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
    """

    def __init__(
        self,
        *,
        open_model: Callable[[], TextToImage],
        open_judge: Callable[[], TextImageEmbedder],
        probes: Mapping[str, Probe],
    ) -> None:
        self._open_model, self._open_judge, self.probes = open_model, open_judge, probes

    @cached_property
    def model(self) -> TextToImage:
        """Return the model."""
        return self._open_model()

    @cached_property
    def judge(self) -> TextImageEmbedder:
        """Return the judge."""
        return self._open_judge()
