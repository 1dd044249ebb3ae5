"""What the judges may know of a model: only what it can do.

A model generates in stages, so that arms which share a stage share its artefacts. A stage is a
pure function of (its settings, its weights, prompts, noise keys, the previous stage's arrays): its
noise is drawn from (prompt id, seed, stage name) alone, never from the arm, the batch or a global
seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

NoiseKey = tuple[str, int]  # (prompt id, seed)


class Stage(Protocol):
    """One step of a model, as planned for one arm; equal name, weights and settings: equal work."""

    @property
    def name(self) -> str:
        """Name of the stage, such as ``prior`` or ``decoder``."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Only the settings that change this stage's output, JSON-serialisable."""

    @property
    def weights(self) -> str:
        """SHA-256 of the weights that this stage reads."""

    @property
    def version(self) -> int:
        """Version of the stage's code; raised whenever its output changes."""

    @property
    def forward_passes(self) -> int:
        """Network calls for one batch of images."""

    @property
    def seconds_per_image(self) -> float:
        """Yardstick on two CPU cores, for the plan's first ETA; measured times replace it."""

    @property
    def image_size(self) -> int | None:
        """Side of the images that this stage returns, in pixels; None when it returns vectors."""


@runtime_checkable
class TextToImage(Protocol):
    """A text-to-image model that can be asked for pictures, stage by stage or at once."""

    @property
    def name(self) -> str:
        """Name of the model, such as ``scenes``."""

    @property
    def weights(self) -> str:
        """SHA-256 over all of its weights."""

    def resolve_settings(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Return every setting with ``changes`` applied.

        Raises:
            ValueError: a setting is unknown (names a near match) or out of its range.
        """

    def plan_stages(self, settings: Mapping[str, Any], size: int) -> Sequence[Stage]:
        """Return the chain of stages that leads to images of ``size`` pixels (64, 256 or 1024)."""

    def run_stage(
        self,
        stage: Stage,
        prompts: Sequence[str],
        noise_keys: Sequence[NoiseKey],
        previous: NDArray[Any] | None,
    ) -> NDArray[Any]:
        """Run one stage on a batch: float32 [n, d] vectors, or uint8 [n, h, w, 3] images."""

    def generate(
        self, prompts: Sequence[str], seeds: Sequence[int], *, size: int = 64, **settings: Any
    ) -> NDArray[np.uint8]:
        """Return images as uint8 [n, size, size, 3], one per (prompt, seed) pair."""


@runtime_checkable
class SeesPictures(Protocol):
    """What a model offers besides `TextToImage` when it has an image encoder of its own.

    Its z_i is what the stage that draws reads: a model whose chain begins with a stage of vectors
    (``image_size`` None) draws from any z_i that is given to the next stage as ``previous``, with
    an empty prompt for no caption.
    """

    @property
    def sees_pictures(self) -> bool:
        """Say whether the encoder is there: some weights have only the text side."""

    def encode_images(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return z_i [n, d], unit length, of pictures uint8 [n, h, w, 3]."""

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return z_t [n, d], unit length, in the same space."""


class ImageEmbedder(Protocol):
    """Turns images into features."""

    @property
    def name(self) -> str:
        """Name of the extractor, such as ``scenes``."""

    @property
    def weights(self) -> str:
        """SHA-256 of its weights."""

    def embed_images(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return features [n, d] of uint8 images [n, h, w, 3]."""


class TextImageEmbedder(ImageEmbedder, Protocol):
    """A judge CLIP: features of images and of texts in one space."""

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit-length text features [n, d]."""

    def embed_aligned_images(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return unit-length image features [n, d] in the texts' space."""
