"""A system that draws a picture at once, shown as a model in stages (`protocols.TextToImage`).

Most systems under test take a prompt and give a picture. What they have to offer for that is a
`Drawer`; `OneStage` adds the rest: settings, stages, sizes, and the checks of what was answered.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dalle2eval.models.answers import as_pictures, fit
from dalle2eval.models.faults import tell_faults
from dalle2eval.protocols import NoiseKey, Stage

SIZES = (64, 256, 1024)  # pixels; what a suite may ask for
BATCH = 16  # pictures at once in `generate`
RESIZE = "resize"
RESIZE_S = 0.001  # an image; yardstick


class Drawer(Protocol):
    """What a kind of system has to offer."""

    @property
    def kind(self) -> str:
        """Name of its stage in plans and cost tables, such as ``http``."""

    @property
    def name(self) -> str:
        """Name of the system, as a suite gives it."""

    @property
    def weights(self) -> str:
        """SHA-256 of what draws: weights, files, code or address."""

    @property
    def seconds_per_image(self) -> float:
        """Yardstick for the first ETA."""

    def resolve_settings(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Return every setting with ``changes`` applied, or raise ValueError."""

    def identity(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return what of the settings decides the pictures, as plain JSON data."""

    def check_samples(self, samples: Sequence[Wanted], settings: Mapping[str, Any]) -> None:
        """Raise InputError for what is known before the work not to be drawable."""

    def draw(self, samples: Sequence[Wanted], settings: Mapping[str, Any]) -> Sequence[ArrayLike]:
        """Return a picture of each: [h, w, 3], uint8 or floats in [0, 1], in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One picture that is asked for: its text, its noise key and its side in pixels."""

    text: str
    key: NoiseKey
    size: int

    def number(self, stage: str, bits: int = 63) -> int:
        """Return the picture's seed for a stage: from (prompt id, seed, stage) alone."""
        digest = hashlib.sha256(repr((*self.key, stage)).encode()).digest()
        return int.from_bytes(digest[:8], "big") >> (64 - bits)


@runtime_checkable
class ChecksSamples(Protocol):
    """A system that can say before the work whether it will be able to draw."""

    def check_samples(
        self, stage: Stage, prompts: Sequence[str], noise_keys: Sequence[NoiseKey]
    ) -> None:
        """Raise InputError when a stage cannot make these pictures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawStage:
    """The stage that draws, or one that brings its pictures down to a smaller size.

    ``conduct`` holds all settings, also those that change no pixel, such as a timeout.
    """

    name: str
    settings: dict[str, Any]
    weights: str
    image_size: int
    seconds_per_image: float
    forward_passes: int = 1
    version: int = 1
    conduct: dict[str, Any] = field(default_factory=dict)


class OneStage:
    """A `Drawer` as a model in stages."""

    sizes = SIZES

    def __init__(self, drawer: Drawer) -> None:
        self.drawer = drawer

    @property
    def name(self) -> str:
        """Name of the system, as a suite gives it."""
        return self.drawer.name

    @property
    def weights(self) -> str:
        """SHA-256 of what draws."""
        return self.drawer.weights

    def resolve_settings(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Return every setting with ``changes`` applied; ValueError names what is allowed."""
        return self.drawer.resolve_settings(changes)

    def plan_stages(self, settings: Mapping[str, Any], size: int) -> list[DrawStage]:
        """Return the stage that draws at ``size`` pixels, and those to every smaller size.

        Raises:
            ValueError: no suite asks for that size.
        """
        if size not in SIZES:
            raise ValueError(f"size is {size}; allowed: {', '.join(map(str, SIZES))}")
        draws = DrawStage(
            name=self.drawer.kind,
            settings={**self.drawer.identity(settings), "size": size},
            weights=self.drawer.weights,
            image_size=size,
            seconds_per_image=self.drawer.seconds_per_image,
            conduct=dict(settings),
        )
        below = sorted((s for s in SIZES if s < size), reverse=True)
        return [draws, *(_resize_stage(smaller) for smaller in below)]

    def check_samples(
        self, stage: Stage, prompts: Sequence[str], noise_keys: Sequence[NoiseKey]
    ) -> None:
        """Raise InputError when the stage is known not to be able to make these pictures."""
        if isinstance(stage, DrawStage) and stage.name != RESIZE:
            self.drawer.check_samples(_wanted(stage, prompts, noise_keys), stage.conduct)

    def run_stage(
        self,
        stage: Stage,
        prompts: Sequence[str],
        noise_keys: Sequence[NoiseKey],
        previous: NDArray[Any] | None,
    ) -> NDArray[np.uint8]:
        """Draw a batch, or bring the pictures of the stage before down: uint8 [n, s, s, 3].

        Raises:
            WrongAnswer: the system gave something else than one picture of the size for each
                prompt, or a whole batch without a picture that can be judged.
        """
        if not isinstance(stage, DrawStage):
            raise TypeError(f"stage {stage.name} is none of {self.name}")
        if stage.name == RESIZE:
            if previous is None:
                raise ValueError("stage resize needs what the stage before it returned")
            return np.stack([fit(one, stage.image_size, self.name) for one in previous])
        answer = self.drawer.draw(_wanted(stage, prompts, noise_keys), stage.conduct)
        pictures = as_pictures(answer, len(prompts), self.name)
        images = np.stack([fit(picture, stage.image_size, self.name) for picture in pictures])
        tell_faults(images, prompts, self.name)
        return images

    def generate(
        self, prompts: Sequence[str], seeds: Sequence[int], *, size: int = 64, **settings: Any
    ) -> NDArray[np.uint8]:
        """Return pictures uint8 [n, size, size, 3], one for each (prompt, seed) pair."""
        if len(prompts) != len(seeds) or not prompts:
            raise ValueError(f"{len(prompts)} prompts with {len(seeds)} seeds; give one seed each")
        stage = self.plan_stages(self.resolve_settings(settings), size)[0]
        parts = [slice(start, start + BATCH) for start in range(0, len(prompts), BATCH)]
        keys = list(zip(prompts, seeds, strict=True))
        return np.concatenate([self.run_stage(stage, prompts[p], keys[p], None) for p in parts])


def _resize_stage(size: int) -> DrawStage:
    return DrawStage(
        name=RESIZE,
        settings={},
        weights="",
        image_size=size,
        seconds_per_image=RESIZE_S,
        forward_passes=0,
    )


def _wanted(
    stage: DrawStage, prompts: Sequence[str], noise_keys: Sequence[NoiseKey]
) -> list[Wanted]:
    pairs = zip(prompts, noise_keys, strict=True)
    return [Wanted(text=text, key=key, size=stage.image_size) for text, key in pairs]
