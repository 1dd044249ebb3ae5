"""Ways to spoil a model on purpose, for the proof that the gate finds them (gate_power.py).

A condition is put around a whole model: what it reads, its decoder's weights, or its pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

CLASS = "count"  # the prompt class that is dropped, or ignored
NOISE = 0.02  # of a weight, relative, by a Gaussian
BLUR = 1.0  # pixels at 64, Gaussian: what a weak autoencoder leaves
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One way to spoil the model.

    Attributes:
        overrides: of the suite.
        pixels: what is done to the decoder's pictures.
        prompts: what is done to what the model reads.
        network: what is done to the decoder's network before it draws.
    """

    name: str
    what: str
    overrides: tuple[str, ...] = ()
    pixels: Callable[[Pixels], Pixels] | None = None
    prompts: Callable[[str], str] | None = None
    network: Callable[[Any], None] | None = None


class Spoilt:
    """A model with one condition put around it."""

    def __init__(self, model: Any, condition: Condition) -> None:
        self._model, self._condition, self._fresh = model, condition, True

    def __getattr__(self, name: str) -> Any:
        """Be the model in all else."""
        return getattr(self._model, name)

    def run_stage(self, stage: Any, prompts: Sequence[str], keys: Any, previous: Any) -> Any:
        """Run a stage of the spoilt model."""
        how = self._condition
        if how.network is not None and self._fresh:
            how.network(self._model.main.network("decoder"))  # the suite's own model
        self._fresh = False
        read = [how.prompts(text) for text in prompts] if how.prompts else list(prompts)
        made = self._model.run_stage(stage, read, keys, previous)
        return how.pixels(made) if how.pixels and stage.name == "decoder" else made


def blur(images: Pixels) -> Pixels:
    """Blur pictures [n, h, w, 3]."""
    smooth = ImageFilter.GaussianBlur(BLUR)
    return np.stack([np.asarray(Image.fromarray(image).filter(smooth)) for image in images])


def red_as_blue(images: Pixels) -> Pixels:
    """Swap red and blue wherever red leads by far: one colour is broken, the others are not."""
    red, green, blue = (images[..., i].astype(int) for i in range(3))
    leads = (red > green + 60) & (red > blue + 60)
    return np.where(leads[..., None], images[..., ::-1], images)


def shake(network: Any) -> None:
    """Multiply every weight by 1 + 2% Gaussian noise, the same at every call."""
    import torch

    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in network.parameters():
            noise = torch.randn(weight.shape, generator=generator)
            weight.mul_(1 + NOISE * noise.to(weight))


def conditions(counted: frozenset[str]) -> tuple[Condition, ...]:
    """Return what is planted; ``counted`` are the texts of the prompt class that is ignored."""
    return (
        Condition(
            name="guidance-1",
            what="guidance 2 (the default) to 1",
            overrides=("model.guidance_scale=1",),
        ),
        Condition(name="steps-2", what="2 decoder steps", overrides=("model.decoder_steps=2",)),
        Condition(name="prior-eps", what="the eps prior", overrides=("model.prior=eps",)),
        Condition(name="weight-noise", what="2% noise on decoder weights", network=shake),
        Condition(name="blur", what=f"Gaussian blur of {BLUR:g} px", pixels=blur),
        Condition(name="red-as-blue", what="red drawn as blue", pixels=red_as_blue),
        Condition(
            name="class-ignored",
            what=f"prompts of the class {CLASS} drawn as one circle",
            prompts=lambda text: "a red circle" if text in counted else text,
        ),
    )


BASE = Condition(name="base", what="as it is")
