"""Recipes of the parts besides the main line, and what is measured of parts once they are trained.

`train RECIPE` trains the main line alone; these are asked for by name (`--stage prior-ar`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from reference_model.companions import PCA_PART, noise_power_part
from reference_model.training import recipes
from reference_model.training.loop_config import LoopConfig
from reference_model.training.recipes import StageRecipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What is measured of a trained part, once, on training data: nothing is trained.

    Attributes:
        part: that is measured; the stage, and the part it makes, are called ``<part>-<what>``.
        what: the noise power of a diffusion network, at each timestep (its mean is over all entries
            of each sample, 128 of an embedding or 12,288 of a picture), or the principal
            components of a CLIP's z_i.
        stream, mix: of the data, as its part's recipe has them.
        num_samples: that it is measured on.
        batch_size: samples at once.
        weights: name of the set.
    """

    part: str
    stream: int
    num_samples: int
    batch_size: int
    what: Literal["noise-power", "pca"] = "noise-power"
    mix: str = "broad"
    weights: str = "scenes"

    @property
    def stage(self) -> str:
        """Return the name it is called by, which is also that of the part it makes."""
        return noise_power_part(self.part) if self.what == "noise-power" else PCA_PART


SCENES: dict[str, StageRecipe | Measurement] = {
    recipe.stage: recipe
    for recipe in (
        Measurement(part="clip", what="pca", stream=3, num_samples=4096, batch_size=256),
        Measurement(part="prior", stream=3, num_samples=256, batch_size=256),
        Measurement(part="prior-eps", stream=3, num_samples=256, batch_size=256),
        Measurement(part="decoder", stream=2, num_samples=16, batch_size=16, mix="composition"),
        # On the data and for as long as the diffusion priors, which it is compared with.
        StageRecipe(
            part="prior-ar",
            stream=3,
            seed=7,
            loop=LoopConfig(steps=2500, batch_size=128),
        ),
        # On data of its own: it also tells which class a generator drew.
        StageRecipe(
            part="classifier",
            stream=6,
            seed=8,
            mix="one-class",
            noise_shift=2.0,
            loop=LoopConfig(steps=1500, batch_size=64),
        ),
        *(
            # The unCLIP decoder's data and length, so that the two can be compared.
            StageRecipe(
                part=part,
                stream=2,
                seed=9,
                mix="composition",
                noise_shift=5.0,
                loop=LoopConfig(
                    steps=5000, batch_size=64, matrix_learning_rate=3e-3, compiled=True
                ),
            )
            for part in ("decoder-imagen", "decoder-imagen-t5")
        ),
        Measurement(
            part="decoder-imagen", stream=2, num_samples=16, batch_size=16, mix="composition"
        ),
        StageRecipe(
            part="upsampler-256-efficient",
            stream=4,
            seed=10,
            loop=LoopConfig(steps=2000, batch_size=32),
        ),
    )
}

# Each on the data and for as long as the part that it is compared with.
CAPTIONS: dict[str, StageRecipe | Measurement] = {
    **{
        part: replace(recipes.CAPTIONS[like], part=part)
        for part, like in (
            ("prior-eps", "prior"),
            ("prior-ar", "prior"),
            ("decoder-imagen", "decoder"),
            ("decoder-imagen-t5", "decoder"),
            ("upsampler-256-efficient", "upsampler-256"),
        )
    },
    PCA_PART: Measurement(
        part="clip",
        what="pca",
        stream=recipes.CAPTIONS["prior"].stream,
        num_samples=4096,
        batch_size=256,
        weights="captions",
    ),
    **{
        noise_power_part(part): Measurement(
            part=part,
            stream=recipes.CAPTIONS[part].stream,
            num_samples=samples,
            batch_size=samples,
            weights="captions",
        )
        for part, samples in (("prior", 256), ("decoder", 16))
    },
}
VARIANT_RECIPES = {"scenes": SCENES, "captions": CAPTIONS}
