"""The shapes of parts that a stack may hold besides those of the published main line.

Another prior, a classifier for guidance, Imagen's decoder. Which sizes they have in each preset
stands in `variants`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from reference_model.config import ScheduleName, Target, UnetConfig, UpsamplerConfig

PERCENTILE = 0.995  # of dynamic thresholding (Imagen, Fig. A.10)


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoregressivePriorConfig:
    """Shape of the autoregressive prior (paper §2.2).

    Attributes:
        num_components: principal components of z_i that are coded.
        num_buckets: of each coefficient (paper: 1,024).
        num_products: buckets of z_i . z_t, of equal share in training.
        text_dropout: probability of the null text in training (paper: 10%).
    """

    z_dim: int
    text_width: int
    context_length: int
    num_components: int
    width: int
    depth: int
    heads: int
    num_buckets: int = 1024
    num_products: int = 64
    text_dropout: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierConfig:
    """Shape of the noise-aware classifier (Dhariwal & Nichol 2021, App. H).

    Attributes:
        unet: the U-Net whose way down it is.
        classes: what each class is called in captions, such as "red circle"; see `classes`.
        schedule, num_timesteps: of the noise that it was trained on; those of what it guides.
    """

    unet: UnetConfig
    classes: tuple[str, ...] = ()
    schedule: ScheduleName = "cosine"
    num_timesteps: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagenConfig:
    """Shape of Imagen's base model (Saharia et al. 2022, arXiv 2205.11487).

    Attributes:
        pooled_width: of the pooled text embedding (``z_t``).
        text_width: of the token states.
        text_dropout: probability of zeroed text in training (paper: 10%).
        percentile: of dynamic thresholding (paper, Fig. A.10: 99.5).
        text_encoder: the part of the weights that reads captions, and is never trained with it.
    """

    image_size: int
    pooled_width: int
    text_width: int
    unet: UnetConfig
    target: Target = "eps"
    schedule: ScheduleName = "cosine"
    num_timesteps: int = 1000
    text_dropout: float = 0.1
    percentile: float = PERCENTILE
    text_encoder: str = "clip"


@dataclass(frozen=True, slots=True, kw_only=True)
class T5TextConfig:
    """A frozen T5 encoder (Raffel et al. 2020, arXiv 1910.10683) as a part of the weights.

    Attributes:
        architecture: the fields of transformers' ``T5Config`` that shape the encoder.
        tokenizer_bytes: length of the tokenizer's JSON, which lies beside the tensors.
        max_length: tokens of a caption, the end token included; longer ones are cut.
    """

    architecture: dict[str, Any]
    tokenizer_bytes: int
    max_length: int = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Variants:
    """The parts that a preset offers besides its main line; None where it has none.

    Attributes:
        prior_energy: share of the variance of z_i that the codes of ``prior_ar`` keep (paper: the
            mean error is below 1%). Training sets ``num_components`` by it, to what its CLIP needs.
        expected_parameters: of every part, without the rows of the classes; checked by a test.
    """

    prior_ar: AutoregressivePriorConfig
    prior_energy: float = 0.99
    classifier: ClassifierConfig | None = None
    decoder_imagen: ImagenConfig | None = None
    upsampler_256_efficient: UpsamplerConfig | None = None
    expected_parameters: dict[str, int] = field(default_factory=dict)
