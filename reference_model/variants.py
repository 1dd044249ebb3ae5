"""Sizes of the parts besides the main line, for each preset that has them.

scenes and tiny have all of them, so that every mechanism can be trained and ablated on a CPU; of
the published sizes those are here that a paper states.
"""

from __future__ import annotations

from collections.abc import Callable

from reference_model.config import UnetConfig, UpsamplerConfig
from reference_model.spelling import nearest
from reference_model.variant_config import (
    AutoregressivePriorConfig,
    ClassifierConfig,
    ImagenConfig,
    Variants,
)


def scenes() -> Variants:
    """Return the variants of the embedded default."""
    return Variants(
        prior_ar=AutoregressivePriorConfig(
            z_dim=128,
            text_width=128,
            context_length=24,
            num_components=64,
            width=128,
            depth=4,
            heads=4,
        ),
        classifier=ClassifierConfig(
            unet=UnetConfig(
                patch=4,
                channels=48,
                multipliers=(1, 2),
                depth=2,
                attention_levels=(1,),
                embedding_multiplier=2,
            ),
        ),
        # As many parameters as the unCLIP decoder, so that the two can be compared: what that one
        # has in its own text encoder, this one has in its timestep and context.
        decoder_imagen=ImagenConfig(
            image_size=64,
            pooled_width=128,
            text_width=128,
            unet=UnetConfig(
                patch=4,
                channels=64,
                multipliers=(1, 2),
                depth=2,
                attention_levels=(1,),
                context_width=192,
                vector_width=256,
                embedding_multiplier=4,
            ),
            target="x0",
        ),
        upsampler_256_efficient=UpsamplerConfig(
            low_size=64,
            residual=True,
            high_size=256,
            unet=UnetConfig(
                patch=4,
                channels=32,
                multipliers=(1, 2),
                depth=1,
                depths=(1, 3),
                condition_channels=3,
                efficient=True,
            ),
        ),
        expected_parameters={
            "prior_ar": 1_109_376,
            "classifier": 615_120,
            "decoder_imagen": 5_061_232,
            "upsampler_256_efficient": 713_712,
        },
    )


def tiny() -> Variants:
    """Return variants for tests, in the widths of the tiny stack."""
    return Variants(
        prior_ar=AutoregressivePriorConfig(
            z_dim=8,
            text_width=4,
            context_length=24,
            num_components=4,
            width=8,
            depth=1,
            heads=2,
            num_buckets=16,
            num_products=8,
        ),
        classifier=ClassifierConfig(
            unet=UnetConfig(
                patch=2, channels=4, multipliers=(1, 1), depth=0, embedding_multiplier=2
            ),
        ),
        decoder_imagen=ImagenConfig(
            image_size=16,
            pooled_width=8,
            text_width=4,
            unet=UnetConfig(
                patch=2,
                channels=4,
                multipliers=(1, 1),
                depth=0,
                attention_levels=(1,),
                head_channels=2,
                context_width=4,
                vector_width=4,
                embedding_multiplier=2,
            ),
            target="x0",
        ),
        upsampler_256_efficient=UpsamplerConfig(
            low_size=16,
            high_size=32,
            unet=UnetConfig(
                patch=2,
                channels=4,
                multipliers=(1, 1),
                depth=1,
                depths=(1, 2),
                condition_channels=3,
                embedding_multiplier=2,
                efficient=True,
            ),
        ),
        expected_parameters={
            "prior_ar": 1_584,
            "classifier": 984,
            "decoder_imagen": 4_056,
            "upsampler_256_efficient": 4_192,
        },
    )


def paper() -> Variants:
    """Return the published size: latent decoder 24 x 1664, 26 heads, 319 codes (Table 3, §2.2).

    And Imagen's 64 to 256 px upsampler (arXiv 2205.11487, App. F), here without its text.
    """
    return Variants(
        prior_ar=AutoregressivePriorConfig(
            z_dim=1024,
            text_width=1024,
            context_length=256,
            num_components=319,
            width=1664,
            depth=24,
            heads=26,
        ),
        upsampler_256_efficient=UpsamplerConfig(
            low_size=64,
            high_size=256,
            target="eps",
            unet=UnetConfig(
                patch=1,
                channels=128,
                multipliers=(1, 2, 4, 8),
                depth=2,
                depths=(2, 4, 8, 8),
                condition_channels=3,
                efficient=True,
            ),
        ),
        expected_parameters={"prior_ar": 805_852_928, "upsampler_256_efficient": 432_919_555},
    )


VARIANTS: dict[str, Callable[[], Variants]] = {"scenes": scenes, "tiny": tiny, "paper": paper}


def variants(name: str) -> Variants:
    """Return the variants of a preset.

    Raises:
        ValueError: it has none; the message lists those that have.
    """
    if name not in VARIANTS:
        raise ValueError(f"preset {name!r} has no variants{nearest(name, VARIANTS)}")
    return VARIANTS[name]()
