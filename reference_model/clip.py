"""CLIP: the text embedding z_t, the image embedding z_i and per-token text states.

Architectures and the BPE tokenizer are open_clip's own (Ilharco et al.); the weights of the scenes
preset are trained here, with a compact vocabulary (`tokenizer.py`). Radford et al. 2021 (arXiv
2103.00020).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from reference_model.config import ClipConfig
from reference_model.tokenizer import PAD, CompactTokenizer


class TextEncoding(NamedTuple):
    """Texts as CLIP sees them.

    Attributes:
        z_t: unit-length text embedding [n, d].
        states: per-token states after the final norm [n, l, width].
        mask: True where a token is real, not padding [n, l].
    """

    z_t: Tensor
    states: Tensor
    mask: Tensor


class Clip(nn.Module):
    """A CLIP with its tokenizer.

    Args:
        config: the architecture.
        vocabulary: BPE ids with a row of their own (`tokenizer.vocabulary_of`).
    """

    def __init__(self, config: ClipConfig, vocabulary: Sequence[int]) -> None:
        super().__init__()
        from open_clip.model import CLIP

        self.config = config
        self.tokenizer = CompactTokenizer(vocabulary, config.text["context_length"])
        self.model = CLIP(
            config.embed_dim,
            vision_cfg=copy.deepcopy(config.vision),
            text_cfg={**config.text, "vocab_size": self.tokenizer.size},
        )

    @property
    def device(self) -> torch.device:
        """Return where the weights are."""
        return self.model.logit_scale.device

    def encode_text(self, texts: Sequence[str]) -> TextEncoding:
        """Encode texts; the states are what the prior and an Imagen-style decoder read."""
        return self.encode_tokens(self.tokenizer(texts).to(self.device))

    def encode_tokens(self, tokens: Tensor) -> TextEncoding:
        """Encode token ids [n, l] from this CLIP's tokenizer."""
        model = self.model
        x = model.token_embedding(tokens) + model.positional_embedding
        states = model.ln_final(model.transformer(x, attn_mask=model.attn_mask))
        # The end token has the highest id, so argmax finds it.
        pooled = states[torch.arange(len(states)), tokens.argmax(dim=-1)]
        z_t = functional.normalize(pooled @ model.text_projection, dim=-1)
        return TextEncoding(z_t, states, tokens != PAD)

    def encode_images(self, images: Tensor) -> Tensor:
        """Return z_i, unit length [n, d], of images [n, 3, size, size] in [-1, 1]."""
        return functional.normalize(self.image_features(images), dim=-1)

    def image_features(self, images: Tensor) -> Tensor:
        """Return the image embedding before normalisation [n, d]."""
        if images.shape[-1] != self.config.image_size:
            images = functional.interpolate(
                images, self.config.image_size, mode="bicubic", antialias=True, align_corners=False
            ).clamp(-1, 1)
        return self.model.visual(images)

    def forward(self, images: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return z_i, z_t and the logit scale, for the contrastive loss."""
        return (
            self.encode_images(images),
            self.encode_tokens(tokens).z_t,
            self.model.logit_scale.exp(),
        )


def to_model_range(images: NDArray[np.uint8], device: torch.device | str = "cpu") -> Tensor:
    """Turn uint8 [n, h, w, 3] into float32 [n, 3, h, w] in [-1, 1]."""
    tensor = torch.from_numpy(np.ascontiguousarray(images)).to(device)
    return tensor.permute(0, 3, 1, 2).float().div(127.5).sub(1)


def to_uint8(images: Tensor) -> NDArray[np.uint8]:
    """Turn [n, 3, h, w] in [-1, 1] into uint8 [n, h, w, 3], rounded to nearest."""
    scaled = images.float().clamp(-1, 1).add(1).mul(127.5).round()
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
