"""Recipes: how each part of a preset is trained, with what it costs and what to expect.

`SCENES` trains the bundled weights from nothing on two CPU cores; the measured quality stands in
the model card beside the weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from reference_model.training.loop_config import LoopConfig
from reference_model.training.stages import Corruption

LossWeighting = Literal["native", "snr"]

# z_i tells so much that the caption is ignored while both are there, so the decoder first learns to
# read captions, as the paper's did: it began as GLIDE, which has no z_i. Noise on z_i keeps it from
# trusting what a prior tells badly.
READING = Corruption(z_dropout=0.5, text_dropout=0.1, z_noise=0.5)
# Then which colour belongs to which shape, where noise does not drown it (docs/notebook.md).
BINDING = Corruption(z_dropout=0.8, text_dropout=0.1, z_noise=0.5, coarse=0.5)
READING_ON = Corruption(z_dropout=0.7, text_dropout=0.1, z_noise=0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRecipe:
    """One part's training.

    Attributes:
        part: name of the part in the manifest.
        weights: name of the set that it is saved in.
        saved_as: its name there; the same as ``part`` when empty.
        stream: which data stream it draws from; judges have their own.
        seed: of the initial weights.
        loop: optimiser settings.
        name: of the stage; the same as ``part`` when empty.
        goes_on: whether it starts from the part's trained weights.
        mix: which kinds of samples the data source shall favour, by its own name for them.
        noise_shift: over 1, a decoder trains on the noisy timesteps more often.
        phases: of a decoder: (last step, what it is denied until then), in order; behind the last
            phase it is trained with the dropouts of its config.
        embeddings: captioned images whose z_i a prior is trained on.
        loss_weighting: of a diffusion prior: ``native`` is the squared error of its own target (Ho
            et al. 2020), so that another target is another weighting too; ``snr`` is that of x0_hat
            with the weight clamp(SNR, 0.1, 5), one and the same for every target.
    """

    part: str
    stream: int
    seed: int
    loop: LoopConfig
    held_out: bool = False
    weights: str = "scenes"
    saved_as: str = ""
    name: str = ""
    goes_on: bool = False
    mix: str = "broad"
    noise_shift: float = 1.0
    phases: tuple[tuple[int, Corruption], ...] = ()
    embeddings: int = 40_000
    loss_weighting: LossWeighting = "native"

    def __post_init__(self) -> None:
        """Refuse numbers that no training can have.

        Raises:
            ValueError: one is out of its range.
        """
        if self.embeddings < 2:  # noqa: PLR2004  (their deviation scales z_i)
            raise ValueError(f"embeddings is {self.embeddings}; allowed: at least 2")
        if not 0 < self.noise_shift < math.inf:
            raise ValueError(f"noise_shift is {self.noise_shift}; allowed: above 0")

    def corruption(self, step: int, later: Corruption) -> Corruption:
        """Return what a decoder is denied at a step; ``later`` behind the last phase."""
        return next((denied for last, denied in self.phases if step < last), later)

    @property
    def stage(self) -> str:
        """Return the name it is called by."""
        return self.name or self.part


SCENES: dict[str, StageRecipe] = {
    recipe.stage: recipe
    for recipe in (
        StageRecipe(
            part="clip",
            stream=1,
            seed=1,
            loop=LoopConfig(steps=700, batch_size=192, checkpoint_every=50),
        ),
        StageRecipe(
            part="judge",
            stream=9,
            seed=2,
            held_out=True,
            weights="scenes-judge",
            saved_as="clip",
            loop=LoopConfig(steps=700, batch_size=192, checkpoint_every=50),
        ),
        # Where things are, how many and which is which is decided above timestep 850, which an even
        # draw visits for a seventh of the samples.
        StageRecipe(
            part="decoder",
            stream=2,
            seed=3,
            mix="composition",
            noise_shift=5.0,
            phases=((1500, READING), (2300, BINDING), (4250, READING_ON)),
            loop=LoopConfig(steps=5000, batch_size=64, matrix_learning_rate=3e-3, compiled=True),
        ),
        StageRecipe(
            part="prior",
            stream=3,
            seed=4,
            loop=LoopConfig(steps=2500, batch_size=128),
        ),
        StageRecipe(
            part="prior-eps",
            stream=3,
            seed=4,
            loop=LoopConfig(steps=2500, batch_size=128),
        ),
        StageRecipe(
            part="upsampler-256",
            stream=4,
            seed=5,
            loop=LoopConfig(steps=3000, batch_size=32, matrix_learning_rate=3e-3),
        ),
        StageRecipe(
            part="upsampler-1024",
            stream=5,
            seed=6,
            loop=LoopConfig(steps=700, batch_size=8, matrix_learning_rate=3e-3, compiled=True),
        ),
    )
}

# Plain trainings on anyone's captioned pictures, for the preset `base` on one GPU. No run has
# measured them yet: set loop.steps to what your pictures need, and watch the evaluations.
CAPTIONS: dict[str, StageRecipe] = {
    part: StageRecipe(
        part=part,
        weights="captions",
        stream=stream,
        seed=10 + stream,
        loop=LoopConfig(
            steps=steps, batch_size=batch, learning_rate=rate, warmup_steps=1000, ema_decay=0.9999
        ),
    )
    for stream, (part, steps, batch, rate) in enumerate(
        (
            ("clip", 50_000, 512, 5e-4),
            ("prior", 100_000, 512, 1.1e-4),  # the paper's rates from here on (App. C)
            ("decoder", 200_000, 256, 1.2e-4),
            ("upsampler-256", 100_000, 128, 1.2e-4),
            ("upsampler-1024", 100_000, 64, 1e-4),
        ),
        start=1,
    )
}
RECIPES = {"scenes": SCENES, "captions": CAPTIONS}
PRESET_OF = {"scenes": "scenes", "captions": "base"}
