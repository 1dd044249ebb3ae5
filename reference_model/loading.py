"""From a part of a set of weights to its network: which kinds there are, and what builds each."""

from __future__ import annotations

from typing import Any

from reference_model.config import (
    ClipConfig,
    DecoderConfig,
    EmbeddingPcaConfig,
    NoisePowerConfig,
    PriorConfig,
    UpsamplerConfig,
)
from reference_model.manifest import Manifest
from reference_model.variant_config import (
    AutoregressivePriorConfig,
    ClassifierConfig,
    ImagenConfig,
    T5TextConfig,
)


def load_network(manifest: Manifest, part: str, *, device: str = "cpu") -> Any:
    """Build one part's network and load its weights, checked by hash.

    Raises:
        CheckpointError: the part is missing, damaged, or of a kind that is not known here.
    """
    from reference_model.ar_prior import AutoregressivePrior
    from reference_model.checkpoint import load_part
    from reference_model.classifier import NoisyClassifier
    from reference_model.clip import Clip
    from reference_model.decoder import Decoder
    from reference_model.embedding_pca import EmbeddingPca
    from reference_model.imagen import Imagen
    from reference_model.karlo.config import (
        KarloDecoderConfig,
        KarloPriorConfig,
        KarloTextConfig,
        KarloUpsamplerConfig,
    )
    from reference_model.karlo.decoder import KarloDecoder
    from reference_model.karlo.prior import KarloPrior
    from reference_model.karlo.text import KarloText
    from reference_model.karlo.upsampler import KarloUpsampler
    from reference_model.noise_power import NoisePower
    from reference_model.prior import DiffusionPrior
    from reference_model.t5 import T5Text
    from reference_model.upsamplers import Upsampler

    kinds = {
        "karlo-text": (KarloText, KarloTextConfig),
        "karlo-prior": (KarloPrior, KarloPriorConfig),
        "karlo-decoder": (KarloDecoder, KarloDecoderConfig),
        "karlo-upsampler": (KarloUpsampler, KarloUpsamplerConfig),
        "clip": (Clip, ClipConfig),
        "prior": (DiffusionPrior, PriorConfig),
        "decoder": (Decoder, DecoderConfig),
        "upsampler": (Upsampler, UpsamplerConfig),
        "noise-power": (NoisePower, NoisePowerConfig),
        "embedding-pca": (EmbeddingPca, EmbeddingPcaConfig),
        "prior-ar": (AutoregressivePrior, AutoregressivePriorConfig),
        "classifier": (NoisyClassifier, ClassifierConfig),
        "imagen": (Imagen, ImagenConfig),
        "t5": (T5Text, T5TextConfig),
    }
    build, config = kinds[manifest.part(part).kind]
    return load_part(manifest, part, build, config, device=device)
