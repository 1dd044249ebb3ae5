"""CLIP's text tower alone: z_t as it comes (not of unit length), states and mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from reference_model.clip import TextEncoding
from reference_model.karlo.config import KarloTextConfig
from reference_model.tokenizer import NUM_BYTE_UNITS, PAD, CompactTokenizer

NUM_BPE = 49_408  # tokens of CLIP's BPE; the last two are start and end


class TextPair(NamedTuple):
    """Encodings of the captions and, for guidance, of as many empty ones."""

    given: TextEncoding
    null: TextEncoding


class KarloText(nn.Module):
    """The text tower with its tokenizer, over the whole BPE vocabulary and a row for padding."""

    def __init__(self, config: KarloTextConfig) -> None:
        super().__init__()
        from open_clip.transformer import QuickGELU, TextTransformer

        self.config = config
        vocabulary = range(NUM_BYTE_UNITS, NUM_BPE - 2)
        self.tokenizer = CompactTokenizer(vocabulary, config.context_length)
        self.tower = TextTransformer(
            context_length=config.context_length,
            vocab_size=self.tokenizer.size,
            width=config.width,
            heads=config.heads,
            layers=config.depth,
            output_dim=config.embed_dim,
            act_layer=QuickGELU if config.quick_gelu else nn.GELU,
        )

    def encode_text(self, texts: Sequence[str]) -> TextEncoding:
        """Encode texts; z_t [n, d] is CLIP's raw projection."""
        return self.encode_tokens(self.tokenizer(texts).to(self.tower.positional_embedding.device))

    def encode_tokens(self, tokens: Tensor) -> TextEncoding:
        """Encode token ids [n, l] from this tokenizer."""
        tower = self.tower
        x = tower.token_embedding(tokens) + tower.positional_embedding
        states = tower.ln_final(tower.transformer(x, attn_mask=tower.attn_mask))
        # The end token has the highest id, so argmax finds it.
        pooled = states[torch.arange(len(states)), tokens.argmax(dim=-1)]
        return TextEncoding(pooled @ tower.text_projection, states, tokens != PAD)

    def encode_pair(self, texts: Sequence[str]) -> TextPair:
        """Encode texts, and the empty caption as often."""
        return TextPair(self.encode_text(texts), self.encode_text([""] * len(texts)))
