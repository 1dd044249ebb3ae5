"""Shapes of Karlo's parts, beyond those of the networks that they share with the paper's."""

from __future__ import annotations

from dataclasses import dataclass

from reference_model.config import PriorConfig, UnetConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class KarloTextConfig:
    """CLIP's text tower (OpenAI's ViT-L/14): the whole BPE vocabulary, causal.

    Attributes:
        quick_gelu: whether the activation is x sigmoid(1.702 x), as in OpenAI's weights.
    """

    embed_dim: int
    context_length: int
    width: int
    depth: int
    heads: int
    quick_gelu: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class KarloPriorConfig:
    """The prior: our network, with the range in which x0_hat is clamped (in deviations)."""

    network: PriorConfig
    clip_range: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KarloDecoderConfig:
    """The decoder to 64 px: a U-Net that reads z_i, z_t and CLIP's text states."""

    image_size: int
    z_dim: int
    text_width: int
    unet: UnetConfig
    num_z_tokens: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class KarloUpsamplerConfig:
    """The upsampler: two U-Nets of one shape."""

    low_size: int
    high_size: int
    unet: UnetConfig
