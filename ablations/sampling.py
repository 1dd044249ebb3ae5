"""Pictures for the eye, stage by stage, outside any suite."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dalle2eval.protocols import Stage, TextToImage

BATCH = 16
NAME_LENGTH = 40  # characters of the prompt in a file's name


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DrawnPicture:
    """One picture of one stage."""

    prompt: str
    seed: int
    size: int
    pixels: NDArray[np.uint8]
    file_name: str


def draw_stages(
    model: TextToImage, stages: Sequence[Stage], prompts: Sequence[str], *, seeds: Sequence[int]
) -> Iterator[DrawnPicture]:
    """Yield the pictures of every stage that draws, for each prompt and seed.

    The noise comes from (prompt, seed), so a picture does not depend on its neighbours.
    """
    pairs = [(number, prompt, seed) for number, prompt in enumerate(prompts) for seed in seeds]
    for start in range(0, len(pairs), BATCH):
        batch = pairs[start : start + BATCH]
        texts = [prompt for _, prompt, _ in batch]
        keys = [(prompt, seed) for _, prompt, seed in batch]
        values: NDArray[Any] | None = None
        for stage in stages:
            values = model.run_stage(stage, texts, keys, values)
            if stage.image_size is not None:
                for (number, prompt, seed), pixels in zip(batch, values, strict=True):
                    name = f"{number:02d}-{_slug(prompt)}-{seed}-{stage.image_size}.png"
                    yield DrawnPicture(
                        prompt=prompt,
                        seed=seed,
                        size=stage.image_size,
                        pixels=pixels,
                        file_name=name,
                    )


def _slug(prompt: str) -> str:
    """Return the part of a prompt that any file system takes."""
    return re.sub(r"[^A-Za-z0-9]+", "-", prompt)[:NAME_LENGTH].strip("-") or "prompt"
